"""Every attack as distances from probes to a gallery: the smaller, the likelier the same person.

Probes are results `(N, dim)`, one a person; gallery entry `i` belongs to probe `i`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ... import metrics
from ...identity.population import Population
from ..judging import Judge
from ..methods import ORIGINAL
from ..results import PersonResult
from .learned import guessed_distances, learn_network, learn_ridge
from .pairs import Pairs

UNION = "all together"  # the recognisers
WITH_KEY = "same tool, with the user's key"  # who may do that: no attack


@dataclass(frozen=True)
class Attack:
    """What one attacker with one recogniser compares."""

    name: str
    recognizer: str
    distances: torch.Tensor  # (N, M)
    genuine: bool = True  # False: for comparison only, as the key's owner is


def attacks(
    judge: Judge,
    method: str,
    results: Sequence[PersonResult],
    seen: dict[str, PersonResult],
    pairs: Pairs,
    population: Population,
    seed: int = 0,
) -> list[Attack]:
    """Everything that is tried with one recogniser on the people of `results`, all of whom have a
    second photo; what needs sightings only where everybody is `seen`."""
    name, recognizer = judge.name, judge.recognizer

    def of(kind: str) -> torch.Tensor:
        return torch.stack([one.tensors[kind] for one in results])

    def drawn(kind: str) -> torch.Tensor:
        return torch.stack([seen[one.person].tensors[kind] for one in results])

    def compare(probes: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
        return metrics.pairwise(recognizer, probes, gallery)

    probes = of(f"probe/{name}/{method}")
    originals = of(f"gallery/{name}/{ORIGINAL}")
    rng = torch.Generator().manual_seed(seed)
    network = learn_network(pairs.after, pairs.before, rng)
    found = {
        "originals": compare(probes, originals),
        "originals, the very photo among them": compare(probes, of(f"probe/{name}/{ORIGINAL}")),
        "least similar": -compare(probes, originals),
        "same tool, another key": compare(probes, of(f"attacker/{name}/{method}")),
        WITH_KEY: compare(probes, of(f"attacker with key/{name}/{method}")),
        "learned, ridge": guessed_distances(learn_ridge(pairs.after, pairs.before), probes, originals),
        "learned, network": guessed_distances(network, probes, originals),
    }
    if all(one.person in seen for one in results):
        hidden, others = (drawn(f"surroundings/{name}/{which}") for which in ("probe", "gallery"))
        hair = learn_network(pairs.surroundings, pairs.before, rng)
        found |= {
            "same tool, other area and seed": compare(probes, drawn(f"other settings/{name}")),
            "surroundings only": compare(hidden, others),
            "surroundings only, learned": guessed_distances(hair, hidden, originals),
        }
    if judge.seen:  # the population is of the guide's embeddings
        found["turn undone"] = metrics.undone_distances(population, probes, originals)
        found["kept attributes only"] = _attributes(population, probes, originals)
    several = [
        one for one in results if one.person in seen and f"album/{name}/0" in seen[one.person].tensors
    ]
    if len(several) > 1:
        album = torch.stack([_album_mean(judge, method, one, seen[one.person]) for one in several])
        # people without further photos still stand in the gallery
        order = several + [one for one in results if one not in several]
        for title, kind in (
            ("album, mean against originals", f"gallery/{name}/{ORIGINAL}"),
            ("album, mean against the same tool", f"attacker/{name}/{method}"),
        ):
            gallery = torch.stack([one.tensors[kind] for one in order])
            found[title] = compare(album, gallery)
    return [Attack(title, name, away, title != WITH_KEY) for title, away in found.items()]


def united(found: Sequence[Attack]) -> list[Attack]:
    """Each attack by all recognisers together: their distances, standardised and summed."""
    made = []
    for name in dict.fromkeys(one.name for one in found):
        same = [one for one in found if one.name == name]
        if len(same) > 1:
            made.append(Attack(name, UNION, metrics.fused([one.distances for one in same]),
                               same[0].genuine))  # fmt: skip
    return made


def _attributes(population: Population, probes: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """By gender, age and tone alone, which results share with the person because they are kept:
    `(N, M)`, in standard deviations of each. What this finds is the price of keeping them."""
    spread = population.read(population.embeddings).std(0)
    return torch.cdist(population.read(probes) / spread, population.read(gallery) / spread)


def _album_mean(judge: Judge, method: str, result: PersonResult, seen: PersonResult) -> torch.Tensor:
    """The mean of all results of one person but the one whose photo is in the gallery: `(dim,)`."""
    further = [
        tensor for name, tensor in seen.tensors.items() if name.startswith(f"album/{judge.name}/")
    ]
    return torch.stack([result.tensors[f"probe/{judge.name}/{method}"], *further]).mean(0)
