"""What is measured: privacy, similarity and utility of anonymized faces, one function a number.

Embeddings are `(N, dim)`, one row a person, in the same order everywhere.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

from .identities import Attributes, Population, skin_tone
from .landmarks import landmark_error, openings
from .recognizers import Recognizer, distance, matches


def match_rate(recognizer: Recognizer, after: torch.Tensor, before: torch.Tensor) -> float:
    """Share of people that the recogniser still matches at its threshold (verification)."""
    return matches(recognizer, after, before).float().mean().item()


def pairwise(recognizer: Recognizer, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The recogniser's distance between all rows of `a` and all of `b`: `(N, M)`."""
    return torch.stack([distance(recognizer, row.expand_as(b), b) for row in a])


def linkage(distances: torch.Tensor, rank: int = 1) -> float:
    """Share of probes whose own gallery entry is among their `rank` nearest (identification).

    `distances (N, M)`; the entry of probe `i` is column `i`. Chance is `rank / M`. A tie counts
    for the attacker.
    """
    own = distances.diagonal()[:, None]
    return ((distances < own).sum(1) < rank).float().mean().item()


def undone_distances(population: Population, after: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """What an attacker who knows the method compares: `(N, M)` distances after undoing it.

    Every result is reflected back about the mean of every group that the method could have used
    (gender, age, tone), because the attacker does not know which; the best group counts. The key
    he does not have. Distances are 1 - cosine as seen from the group's mean.
    """
    ages, tones = (25.0, 35.0, 45.0, 55.0, 65.0), (0.0, 25.0, 50.0)
    best = torch.full((len(after), len(gallery)), float("inf"))
    for gender, age, tone in itertools.product((-1.0, 1.0), ages, tones):
        origin = population.membership(Attributes(gender, age, tone)) @ population.embeddings
        back = F.normalize(origin - after, dim=1)
        best = torch.minimum(best, 1 - back @ F.normalize(gallery - origin, dim=1).T)
    return best


def collapse_ratio(recognizer: Recognizer, after: torch.Tensor, before: torch.Tensor) -> float:
    """Mean distance between different people's results over that between the people themselves.

    Near 0 when everybody gets the same face; 1 when people stay as different as they were.
    """
    others = ~torch.eye(len(after), dtype=torch.bool)
    return (
        pairwise(recognizer, after, after)[others].mean()
        / pairwise(recognizer, before, before)[others].mean()
    ).item()


def kept(before: torch.Tensor, after: torch.Tensor, within: float = 0.0) -> float:
    """Share of people whose attribute changed by no more than `within`: `(N,)` and `(N,)`."""
    return ((after - before).abs() <= within).float().mean().item()


def tones(images: list[torch.Tensor]) -> torch.Tensor:
    """Skin tone (ITA, degrees) of aligned faces `(1, 3, S, S)`, as `(N,)`."""
    return torch.tensor([skin_tone(image) for image in images])


def utility(before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    """What became of expression: 68 points `(N, 68, 2)` before and after.

    Mean landmark error, and mean differences of the openings of mouth and eyes, all over the
    inter-ocular distance.
    """
    gaps = (openings(after) - openings(before)).abs().mean(0)
    return {
        "landmark_error": landmark_error(after, before).mean().item(),
        "mouth_opening_difference": gaps[0].item(),
        "eye_opening_difference": gaps[1:].mean().item(),
    }
