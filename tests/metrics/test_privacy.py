"""Thresholds, identification and ROC numbers against hand-made cases and independent arithmetic."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu, norm

from anonlab.metrics import (
    area_under_roc,
    calibrated_threshold,
    equal_error_rate,
    linkage,
    linked,
    protection,
    roc,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def below(distances: torch.Tensor, threshold: float) -> float:
    return (distances.double() < threshold).double().mean().item()


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping genuine and impostor distances with many ties between them."""
    genuine = (torch.randn(70, generator=seeded(1)) + 2).mul(5).round() / 5
    impostors = (torch.randn(130, generator=seeded(2)) + 3).mul(5).round() / 5
    return genuine, impostors


@pytest.mark.parametrize(("far", "expected"), [(1e-3, 0.002), (0.01, 0.011), (0.5, 0.501)])
def test_the_threshold_is_the_first_impostor_who_may_not_pass(far, expected):
    impostors = torch.arange(1, 1001).double()[torch.randperm(1000, generator=seeded(0))] / 1000
    threshold = calibrated_threshold(impostors, far)
    assert threshold == pytest.approx(expected)
    assert below(impostors, threshold) == pytest.approx(far)


def test_shares_that_floating_point_cannot_hold_are_still_reached():
    assert 0.29 * 100 < 29  # the trap
    assert below(torch.arange(100), calibrated_threshold(torch.arange(100), 0.29)) == 0.29


@pytest.mark.parametrize("far", [1e-3, 0.02, 0.1, 0.37])
@pytest.mark.parametrize("count", [7, 100, 999, 2500])
def test_no_larger_threshold_keeps_the_false_accept_rate(far, count):
    impostors = torch.rand(count, generator=seeded(count), dtype=torch.float64)
    threshold = calibrated_threshold(impostors, far)
    assert below(impostors, threshold) <= far
    assert below(impostors, math.nextafter(threshold, 9)) > far


def test_ties_among_impostors_never_raise_the_false_accept_rate():
    impostors = torch.tensor([0.1] * 5 + [0.5] * 95)
    assert below(impostors, calibrated_threshold(impostors, 0.02)) == 0
    assert below(impostors, calibrated_threshold(impostors, 0.05)) == 0.05


def test_with_too_few_pairs_no_impostor_passes_but_a_nearer_pair_does():
    impostors = torch.tensor([0.9, 0.4, 0.7])
    threshold = calibrated_threshold(impostors)
    assert threshold == pytest.approx(0.4)
    assert below(impostors, threshold) == 0
    assert below(torch.tensor([0.39]), threshold) == 1


@pytest.mark.parametrize("rank", [1, 2, 5, 20])
def test_linked_is_the_place_in_the_sorted_gallery(rank):
    distances = torch.rand(30, 30, generator=seeded(3))
    order = distances.argsort(1)
    expected = [i in order[i, :rank].tolist() for i in range(30)]
    assert linked(distances, rank).tolist() == expected
    assert linkage(distances, rank) == pytest.approx(sum(expected) / 30)


def test_rank_five_allows_four_in_front():
    distances = torch.arange(8.0).repeat(8, 1)  # probe i has exactly i others in front
    assert linked(distances, 5).tolist() == [True] * 5 + [False] * 3
    assert linkage(distances, 5) == 5 / 8


def test_a_tie_counts_for_the_attacker():
    assert linkage(torch.ones(4, 4)) == 1


def test_protection_counts_only_who_was_matched_before():
    before = torch.tensor([True, True, True, True, False, False])
    after = torch.tensor([True, False, False, False, True, False])
    assert protection(before, after) == 0.75
    assert protection(before, before) == 0
    assert protection(before, ~before) == 1


def test_protection_of_nobody_is_no_number():
    nobody = torch.zeros(3, dtype=torch.bool)
    assert math.isnan(protection(nobody, nobody))
    assert math.isnan(protection(nobody, ~nobody))


def test_area_under_roc_counts_ordered_pairs():
    genuine, impostors = torch.tensor([0.1, 0.4]), torch.tensor([0.2, 0.5, 0.6])
    assert area_under_roc(genuine, impostors) == pytest.approx(5 / 6)
    assert area_under_roc(torch.tensor([0.3]), torch.tensor([0.3])) == 0.5  # a tie is half a pair


def test_area_under_roc_is_mann_whitneys_u(pairs):
    genuine, impostors = pairs
    u = mannwhitneyu(impostors.numpy(), genuine.numpy()).statistic
    assert area_under_roc(genuine, impostors) == pytest.approx(u / len(genuine) / len(impostors))


def test_area_under_roc_is_the_area_under_the_curve(pairs):
    assert area_under_roc(*pairs) == pytest.approx(np.trapezoid(*reversed(roc(*pairs))))


def test_roc_climbs_from_nobody_to_everybody(pairs):
    false, true = roc(*pairs)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all() and (np.diff(true) >= 0).all()


def test_every_point_of_the_roc_is_a_threshold(pairs):
    genuine, impostors = pairs
    reachable = {
        ((impostors <= limit).double().mean().item(), (genuine <= limit).double().mean().item())
        for limit in [-1.0, *torch.cat(pairs).tolist()]
    }
    for point in zip(*roc(genuine, impostors), strict=True):
        assert min(math.dist(point, one) for one in reachable) < 1e-9


@pytest.mark.parametrize(
    ("genuine", "impostors", "expected"),
    [
        ([1, 2, 3, 6], [4, 5, 7, 8], 0.25),  # one of four on each side, from 4 to 5
        ([1, 3], [2, 4, 5], 1 / 3),  # on the vertical step at one of three
        ([1, 2], [2, 3], 0.25),  # half-way along the slope of a tie
        ([1, 2], [3, 4], 0),
        ([3, 4], [1, 2], 1),
        ([5, 5], [5, 5], 0.5),
    ],
)
def test_equal_error_rate_by_hand(genuine, impostors, expected):
    found = equal_error_rate(torch.tensor(genuine).float(), torch.tensor(impostors).float())
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_equal_error_rate_is_where_no_threshold_does_better(seed):
    """Brute force: at every threshold the larger of the two errors is at least the EER, and the
    one where they are nearest is a step of either curve away from it."""
    genuine = torch.randn(200, generator=seeded(seed), dtype=torch.float64)
    impostors = torch.randn(300, generator=seeded(seed + 50), dtype=torch.float64) + 1
    found = equal_error_rate(genuine, impostors)
    errors = [
        ((impostors < limit).double().mean().item(), (genuine >= limit).double().mean().item())
        for limit in torch.cat([genuine, impostors]).tolist()
    ]
    assert all(max(both) >= found - 1e-12 for both in errors)
    nearest = min(errors, key=lambda both: abs(both[0] - both[1]))
    assert sum(nearest) / 2 == pytest.approx(found, abs=1 / 200)


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.5])
def test_two_normal_distributions_have_known_rates(apart):
    grid = torch.from_numpy(norm.ppf((np.arange(4000) + 0.5) / 4000))
    assert area_under_roc(grid, grid + apart) == pytest.approx(norm.cdf(apart / 2**0.5), abs=1e-3)
    assert equal_error_rate(grid, grid + apart) == pytest.approx(norm.cdf(-apart / 2), abs=1e-3)


def test_rates_depend_on_order_only(pairs):
    genuine, impostors = pairs
    stretched = [torch.exp(one / 2) for one in pairs]
    for rate, other in itertools.product((area_under_roc, equal_error_rate), (stretched,)):
        assert rate(*other) == pytest.approx(rate(genuine, impostors))
