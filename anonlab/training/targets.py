"""Virtual identities of many faces: what the encoder learns to aim at."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from ..controls import KEEP
from ..identity.population import Population, skin_tones
from ..identity.virtual import TURN, identity_paths, random_orthogonal

TARGETS = 4  # virtual identities per face; the first is what a user would get
TURNS = (0.0, math.radians(120))  # of the other targets: from the opposite to 60° from the person
RADII = (0.8, 1.3)  # and how far from the group's mean they are, relative to what a user gets
KEPT = 0.75  # how often an attribute is
ROTATIONS = 64  # orthogonal matrices; each face gets one with its columns shuffled and signs drawn


def wanted_identities(
    population: Population, embeddings: torch.Tensor, pictures: torch.Tensor, seed: int
) -> torch.Tensor:
    """Draw `TARGETS` virtual identities `(N, K, dim)` for faces with `embeddings (N, dim)` and aligned
    `pictures (N, 3, S, S)`: first what a user would get, then a wider family (other turns, radii and
    kept attributes), so that another choice of identity later needs no new encoder."""
    n, here = len(embeddings), embeddings.to(population.mean)
    labels = population.read(here)
    labels[:, 0].clamp_(-1, 1)
    labels[:, 2] = torch.from_numpy(skin_tones(pictures)).to(labels)
    rng = torch.Generator().manual_seed(seed)
    pool = rotations(len(population.spread))
    found = []
    for number in range(TARGETS):
        rotation = draw_rotations(pool, n, rng)
        turn, keep, radius = torch.full((n, 1), TURN), KEEP, torch.ones(n, 1)
        if number:
            turn = TURNS[0] + (TURNS[1] - TURNS[0]) * torch.rand(n, 1, generator=rng)
            kept = (torch.rand(len(KEEP), generator=rng) < KEPT).tolist()
            keep = tuple(name for name, is_kept in zip(KEEP, kept, strict=True) if is_kept)
            radius = RADII[0] + (RADII[1] - RADII[0]) * torch.rand(n, 1, generator=rng)
        paths = identity_paths(population, here, labels, rotation.to(here), keep, turn.to(here))
        found.append(torch.lerp(paths.origin, paths.targets(), radius.to(here)))
    return torch.stack(found, 1).to(embeddings)


@lru_cache
def rotations(side: int) -> torch.Tensor:
    """Draw `ROTATIONS` orthogonal matrices, always the same: `(ROTATIONS, side, side)`."""
    return torch.stack([random_orthogonal(side, b"", i) for i in range(ROTATIONS)])


def draw_rotations(pool: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """Draw `count` of the orthogonal `pool (P, D, D)`, columns shuffled and flipped: `(count, D, D)`."""
    side = pool.shape[-1]
    chosen = pool[torch.randint(len(pool), (count,), generator=rng)]
    order = torch.rand(count, 1, side, generator=rng).argsort(2).expand(-1, side, -1)
    signs = 2.0 * torch.randint(2, (count, 1, side), generator=rng) - 1
    return chosen.gather(2, order) * signs
