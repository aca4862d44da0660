"""Virtual identities for many faces at once: what the encoder learns to aim at.

The same arithmetic as `identity.virtual`, one row a face, because a thousand faces one by one take
longer than to draw them on a GPU. The test compares the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from ..controls import KEEP
from ..identity.population import AGE_WIDTH, MEMBERS, TONE_WIDTH, Population, skin_tones
from ..identity.virtual import TURN, random_orthogonal

TARGETS = 4  # virtual identities per face; the first is what a user would get
TURNS = (0.0, math.radians(120))  # of the other targets: from the opposite to 60° from the person
RADII = (0.8, 1.3)  # and how far from the group's mean they are, relative to what a user gets
KEPT = 0.75  # how often an attribute is
ROTATIONS = 64  # orthogonal matrices; each face gets one with its columns shuffled and signs drawn


@dataclass(frozen=True)
class Wish:
    """How one new identity is chosen for each of N people."""

    rotation: torch.Tensor  # (N, 64, 64), orthogonal
    turn: torch.Tensor  # (N, 1), radians
    keep: torch.Tensor  # (N, 3), 1 for what is kept, in the order of KEEP


def wanted_identities(
    population: Population, embeddings: torch.Tensor, pictures: torch.Tensor, seed: int
) -> torch.Tensor:
    """`TARGETS` virtual identities `(N, K, dim)` for faces with `embeddings (N, dim)` and aligned
    `pictures (N, 3, S, S)`: first what a user would get, then a wider family (other turns, radii and
    kept attributes), so that another choice of identity later needs no new encoder."""
    n, here = len(embeddings), embeddings.to(population.mean)
    labels = attributes(population, here, pictures)
    rng = torch.Generator().manual_seed(seed)
    pool = rotations(len(population.spread))
    found = []
    for number in range(TARGETS):
        rotation = draw_rotations(pool, n, rng)
        turn, keep, radius = torch.full((n, 1), TURN), torch.ones(n, len(KEEP)), torch.ones(n, 1)
        if number:
            turn = TURNS[0] + (TURNS[1] - TURNS[0]) * torch.rand(n, 1, generator=rng)
            keep = (torch.rand(n, len(KEEP), generator=rng) < KEPT).float()
            radius = RADII[0] + (RADII[1] - RADII[0]) * torch.rand(n, 1, generator=rng)
        wish = Wish(rotation.to(here), turn.to(here), keep.to(here))
        origin, target = identities(population, here, labels, wish)
        found.append(torch.lerp(origin, target, radius.to(here)))
    return torch.stack(found, 1).to(embeddings)


@lru_cache
def rotations(side: int) -> torch.Tensor:
    """`ROTATIONS` orthogonal matrices, always the same: `(ROTATIONS, side, side)`."""
    return torch.stack([random_orthogonal(side, b"", i) for i in range(ROTATIONS)])


def draw_rotations(pool: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """`count` of the orthogonal `pool (P, D, D)`, with shuffled and flipped columns: `(count, D, D)`."""
    side = pool.shape[-1]
    chosen = pool[torch.randint(len(pool), (count,), generator=rng)]
    order = torch.rand(count, 1, side, generator=rng).argsort(2).expand(-1, side, -1)
    signs = 2.0 * torch.randint(2, (count, 1, side), generator=rng) - 1
    return chosen.gather(2, order) * signs


def attributes(population: Population, embeddings: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Gender -1 … 1, age and tone of N faces, `(N, 3)`, as `Population.attributes` reads them."""
    labels = population.read(embeddings)
    tone = labels.new_tensor(skin_tones(pictures))[:, None]
    return torch.cat([labels[:, :1].clamp(-1, 1), labels[:, 1:2], tone], 1)


def membership(population: Population, labels: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """How much each generated person belongs to each face's group, `(N, M)`; `Population.membership`."""
    gender, age, tone = labels.split(1, 1)
    by_gender, by_age, by_tone = keep.split(1, 1)
    other = -4.0 * (population.gender != torch.where(gender < 0, -1.0, 1.0)) * by_gender
    away = ((population.age - age) / AGE_WIDTH).square() / 2 * by_age
    away = away + ((population.tone - tone) / TONE_WIDTH).square() / 2 * by_tone
    width = torch.ones_like(gender)
    while True:
        weight = (other - away / width**2).softmax(1)
        few = 1 / weight.square().sum(1, keepdim=True) < MEMBERS
        if not few.any():
            return weight
        width = torch.where(few, 1.2 * width, width)


def natural_change(population: Population, change: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Steps `(N, dim)` that change what is kept by `change (N, 3)`; see `Population.natural_change`."""
    natural = population.covariance @ population.readout  # (dim, 3)
    both = keep[:, :, None] * keep[:, None]
    gram = (population.readout.T @ natural) * both + torch.diag_embed(1 - keep)
    return (torch.linalg.solve(gram, change * keep) * keep) @ natural.T


def identities(
    population: Population, embeddings: torch.Tensor, labels: torch.Tensor, wish: Wish
) -> tuple[torch.Tensor, torch.Tensor]:
    """Origins and virtual identities `(N, dim)` at strength 1; see `identity.virtual.identity_path`."""
    members = membership(population, labels, wish.keep)
    origin = members @ population.embeddings
    wanted = population.read(embeddings)
    gender = wanted[:, :1].abs().clamp_min(1) * torch.where(labels[:, :1] < 0, -1.0, 1.0)
    wanted = torch.cat([gender, wanted[:, 1:]], 1)
    origin = origin + natural_change(population, wanted - population.read(origin), wish.keep)
    difference = embeddings - origin
    axis = F.normalize(difference, dim=1)
    whitened = axis @ population.directions.T / population.spread
    rotated = (wish.rotation @ whitened[:, :, None])[:, :, 0]
    drawn = (rotated * population.spread) @ population.directions
    drawn = drawn - (drawn * axis).sum(1, keepdim=True) * axis
    drawn = F.normalize(drawn - natural_change(population, drawn @ population.readout, wish.keep), dim=1)
    # |E - o|² summed over the members, without the (N, M, dim) of all differences
    squares = population.embeddings.square().sum(1) - 2 * origin @ population.embeddings.T
    usual = (members * (squares + origin.square().sum(1, keepdim=True))).sum(1, keepdim=True).sqrt()
    radius = difference.norm(dim=1, keepdim=True).maximum(usual)
    angle = math.pi - wish.turn
    return origin, origin + radius * (angle.cos() * axis + angle.sin() * drawn)
