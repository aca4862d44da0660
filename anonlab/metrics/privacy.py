"""Which people are still found. Embeddings are `(N, dim)`, one row a person, always in one order.

Distances `(N, M)` hold probe `i` against gallery entry `j`; probe `i`'s own entry is column `i`. Genuine
distances `(N,)` are between two pictures of one person, impostors `(M,)` between different people.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import gaussian_kde
from sklearn.metrics import roc_curve

from ..identity.population import Population
from ..recognizers import Recognizer, distance
from .intervals import bootstrap


def pairwise(recognizer: Recognizer, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the recogniser's distance between all rows of `a` and all of `b`: `(N, M)`."""
    return torch.stack([distance(recognizer, row.expand_as(b), b) for row in a])


def calibrated_threshold(impostors: torch.Tensor, far: float = 1e-3) -> float:
    """Return the largest threshold below which at most the share `far` of the impostor distances lie.

    It may differ a lot from a published one, for which reason NIST FRVT reports at fixed false-match
    rates. With fewer than 1 / `far` pairs none may match: it is then the smallest of them.
    """
    ordered = impostors.double().sort().values
    allowed = int(len(ordered) * far + 1e-9)
    return ordered[min(allowed, len(ordered) - 1)].item()


def linked(distances: torch.Tensor, rank: int = 1) -> torch.Tensor:
    """Return whether each probe's own gallery entry is among its `rank` nearest: booleans `(N,)`. A tie
    counts for the attacker."""
    return (distances < distances.diagonal()[:, None]).sum(1) < rank


def linkage(distances: torch.Tensor, rank: int = 1) -> float:
    """Return the share of probes that are `linked` (closed-set identification, the cumulative match of
    ISO/IEC 19795-1). Chance is `rank / M`."""
    return linked(distances, rank).float().mean().item()


def protection(matched_before: torch.Tensor, matched_after: torch.Tensor) -> float:
    """Return which share of the pairs that matched before no longer does (protection success rate), from
    booleans `(N,)`; NaN when no pair matched before."""
    return (~matched_after[matched_before]).float().mean().item()


def roc(genuine: torch.Tensor, impostors: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return false- and true-accept rates over all thresholds."""
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostors))]
    false, true, _ = roc_curve(labels, -torch.cat([genuine, impostors]).double().numpy())
    return false, true


def area_under_roc(genuine: torch.Tensor, impostors: torch.Tensor) -> float:
    """Return the chance that a genuine pair is nearer than an impostor pair: 0.5 is no recognition."""
    return float(np.trapezoid(*reversed(roc(genuine, impostors))))


def equal_error_rate(genuine: torch.Tensor, impostors: torch.Tensor) -> float:
    """Return the rate at which false accepts equal false rejects: 0 is recognised, 0.5 is not."""
    false, true = roc(genuine, impostors)
    gap = false - (1 - true)  # it rises from -1 to 1
    at = int(np.argmax(gap >= 0))
    return float(np.interp(0, gap[at - 1 : at + 1], false[at - 1 : at + 1]))


def true_accept_rate(genuine: torch.Tensor, impostors: torch.Tensor, far: float) -> float:
    """Return the share of genuine distances below `calibrated_threshold`; NaN with fewer than 1 / `far`
    impostor pairs, which cannot show it."""
    if len(impostors) * far < 1:
        return float("nan")
    return (genuine < calibrated_threshold(impostors, far)).float().mean().item()


def unlinkability(genuine: torch.Tensor, impostors: torch.Tensor) -> float:
    """Return D_sys of Gomez-Barrero et al. (IEEE TIFS 13(6), 2018): 0 unlinkable, 1 fully linkable.

    Genuine are here results of one person by two keys. With densities p by Gaussian kernels and
    LR = p(s|mated) / p(s|non-mated), D_sys = ∫ p(s|mated) max(0, 2 LR / (1 + LR) - 1) ds. Chance alone
    gives a little more than 0.
    """
    mated, other = (gaussian_kde(one.double().numpy()) for one in (genuine, impostors))
    both = torch.cat([genuine, impostors])
    margin = 0.2 * (both.max() - both.min()).item()
    s = np.linspace(both.min().item() - margin, both.max().item() + margin, 512)
    p, q = mated(s), other(s)
    local = np.maximum(0.0, 2 * p / np.maximum(p + q, 1e-300) - 1)
    return float(np.trapezoid(p * local, s))


def conditional_leakage(result: torch.Tensor, surroundings: torch.Tensor) -> dict[str, object]:
    """Measure what a new face adds to hair, clothes and place: L, and its 95 % interval by person.

    L = rank 1 of (result ⊕ surroundings) - rank 1 of the surroundings alone, both from distances
    `(N, M)` of the same probes to the same gallery. The bootstrap is paired: it draws people.
    """
    both = linked(fused([result, surroundings])).double().numpy()
    gain = both - linked(surroundings).double().numpy()
    return {"value": float(gain.mean()), "interval": bootstrap(gain)}


def undone_distances(population: Population, after: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Return the distances `(N, M)` that an attacker with the method but without the key compares.

    Every result `after (N, dim)` is reflected back about the mean of every group that the method could
    have used: the look is read from the result, which keeps it, and of gender, age and tone all are
    tried; the best group counts. Distances are 1 - cosine as seen from the group's mean.
    """
    ages, tones = (25.0, 35.0, 45.0, 55.0, 65.0), (0.0, 25.0, 50.0)
    best = after.new_full((len(after), len(gallery)), torch.inf)
    labels = population.read(after)
    for group in itertools.product((-1.0, 1.0), ages, tones):
        labels[:, :3] = torch.tensor(group).to(labels)
        origin = population.membership(labels) @ population.embeddings  # (N, dim)
        back = F.normalize(origin - after, dim=1)[:, None]
        there = F.normalize(gallery - origin[:, None], dim=2)  # (N, M, dim)
        best = torch.minimum(best, 1 - (back * there).sum(2))
    return best


def fused(distances: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add several distances `(N, M)` of the same pairs, each standardised over all its pairs: the sum
    rule of score fusion (Kittler et al. 1998)."""
    return torch.stack([(one - one.mean()) / one.std().clamp_min(1e-9) for one in distances]).sum(0)
