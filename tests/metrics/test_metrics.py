"""Who is found: rank, matches and the attacker who undoes the turn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from anonlab.controls import KEEP
from anonlab.identity.population import Attributes
from anonlab.identity.virtual import identity_path
from anonlab.metrics import linkage, pairwise, undone_distances
from anonlab.recognizers import matches

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
