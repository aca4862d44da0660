"""Thresholds, identification, ROC and undoing the turn: by hand, by properties, by other libraries."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from small import seeded

from anonlab.controls import KEEP
from anonlab.identity.population import Attributes
from anonlab.identity.virtual import identity_path
from anonlab.metrics.privacy import (
    area_under_roc,
    calibrated_threshold,
    equal_error_rate,
    linkage,
    linked,
    pairwise,
    protection,
    undone_distances,
)
from anonlab.recognizers import matches

KEY = b"a secret of at least 16 bytes"
EUCLIDEAN = SimpleNamespace(metric="euclidean", threshold=0.6)
COSINE = SimpleNamespace(metric="cosine", threshold=0.3)


def below(distances: torch.Tensor, threshold: float) -> float:
    return (distances.double() < threshold).double().mean().item()


# thresholds


@given(st.integers(0, 10**6), st.integers(1, 3000), st.floats(1e-4, 0.9), st.booleans())
def test_no_larger_threshold_keeps_the_false_accept_rate(seed, count, far, ties):
    impostors = torch.rand(count, generator=seeded(seed), dtype=torch.float64)
    impostors = impostors.mul(9).round() if ties else impostors
    threshold = calibrated_threshold(impostors, far)
    assert below(impostors, threshold) <= far + 1e-12
    above = math.nextafter(threshold, 99)
    assert below(impostors, above) > far or above > impostors.max()


def test_a_match_is_below_the_threshold_and_pairwise_is_every_distance():
    before, after = torch.zeros(4, 8), torch.zeros(4, 8)
    after[:, 0] = torch.tensor([0.0, 0.59, 0.61, 2.0])
    assert matches(EUCLIDEAN, after, before).tolist() == [True, True, False, False]
    a, b = (torch.randn(n, 16, generator=seeded(n)) for n in (5, 7))
    torch.testing.assert_close(pairwise(EUCLIDEAN, a, b), torch.cdist(a, b))
    expected = 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    torch.testing.assert_close(pairwise(COSINE, a, b), expected)


# identification


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(0, 9), st.integers(1, 40))
def test_linked_is_the_place_in_the_sorted_gallery(seed, probes, others, rank):
    distances = torch.rand(probes, probes + others, generator=seeded(seed))
    order = distances.argsort(1)
    expected = [i in order[i, :rank].tolist() for i in range(probes)]
    assert linked(distances, rank).tolist() == expected
    assert linkage(distances, rank) == pytest.approx(sum(expected) / probes)


def test_a_tie_counts_for_the_attacker():
    assert linkage(torch.ones(4, 4)) == 1


def test_protection_counts_only_people_that_were_matched_before():
    before = torch.tensor([True, True, True, True, False, False])
    after = torch.tensor([True, False, False, False, True, False])
    assert protection(before, after) == 0.75
    assert (protection(before, before), protection(before, ~before)) == (0, 1)
    assert math.isnan(protection(torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)))


# ROC


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    genuine = (torch.randn(70, generator=seeded(1)) + 2).mul(5).round() / 5
    impostors = (torch.randn(130, generator=seeded(2)) + 3).mul(5).round() / 5
    return genuine, impostors


def test_area_under_roc_is_mann_whitneys_u(pairs):
    genuine, impostors = pairs
    u = mannwhitneyu(impostors.numpy(), genuine.numpy()).statistic
    assert area_under_roc(genuine, impostors) == pytest.approx(u / len(genuine) / len(impostors))
    assert area_under_roc(torch.tensor([0.3]), torch.tensor([0.3])) == 0.5  # a tie is half a pair


@given(st.integers(0, 10**6))
def test_equal_error_rate_is_where_no_threshold_does_better(seed):
    """At every threshold the larger of the two errors is at least the EER, and the one where they are
    nearest is a step of either curve away from it."""
    genuine = torch.randn(200, generator=seeded(seed), dtype=torch.float64)
    impostors = torch.randn(300, generator=seeded(seed + 1), dtype=torch.float64) + 1
    found, limits = equal_error_rate(genuine, impostors), torch.cat([genuine, impostors])
    false = (impostors < limits[:, None]).double().mean(1)
    missed = (genuine >= limits[:, None]).double().mean(1)
    assert torch.maximum(false, missed).min() >= found - 1e-12
    at = (false - missed).abs().argmin()
    assert (false[at] + missed[at]).item() / 2 == pytest.approx(found, abs=1 / 200)


# the attacker who undoes the turn


@pytest.fixture(scope="module")
def sixty(population):
    rows = list(itertools.islice(range(0, len(population.age), len(population.age) // 60), 60))
    read = zip(population.gender[rows], population.age[rows], population.tone[rows], strict=True)
    return population.embeddings[rows], [Attributes(*(x.item() for x in one)) for one in read]


def test_a_plain_reflection_is_undone_and_a_keyed_identity_is_not(population, sixty):
    embeddings, attributes = sixty
    groups = population.membership(population.labels(embeddings, attributes))
    people = list(zip(embeddings, attributes, strict=True))
    made = {"reflected": 2 * groups @ population.embeddings - embeddings}
    for name, keep in (("keyed", ("gender", "age", "tone")), ("looks", KEEP)):
        paths = [identity_path(population, one[None], about, KEY, keep=keep) for one, about in people]
        made[name] = torch.cat([path.targets() for path in paths])
    # a look that is kept to the last digit tells of a target (not of a picture) more
    for name, matched, first in (("reflected", 0.1, 0.1), ("keyed", 0.1, 0.1), ("looks", 0.2, 0.4)):
        assert matches(EUCLIDEAN, made[name], embeddings).float().mean() < matched
        assert linkage(pairwise(EUCLIDEAN, made[name], embeddings)) < first
    undone = {name: linkage(undone_distances(population, one, embeddings)) for name, one in made.items()}
    assert undone["reflected"] > 0.5 and undone["keyed"] < 0.2 and undone["looks"] < 0.2
