"""The condition of stage 2: which new identity a person gets.

The target keeps what the person shares with a group (gender, age, skin tone) and moves everything
else: the embedding's difference from the group's mean is turned away from the person, to
100°, a little beyond a right angle, into a direction that only the holder of the key can compute.

A plain reflection (180°) is the farthest, but anyone can reflect it back. A right angle and a bit
leaves almost nothing to reflect.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..controls import KEEP
from ..errors import UnknownOption
from .population import Attributes, Population

TURN = math.radians(80)  # from the reflected axis towards the keyed direction


@dataclass(frozen=True)
class Identity:
    """A virtual identity for one person."""

    target: torch.Tensor  # (1, dim), the embedding to reach
    origin: torch.Tensor  # (1, dim), the mean of the group, from which directions count
    cosine: float  # between target and source as seen from the origin


def virtual_identity(
    population: Population,
    embedding: torch.Tensor,
    attributes: Attributes,
    key: bytes,
    seed: int = 0,
    strength: float = 1.0,
    keep: Sequence[str] = KEEP,
    turn: float = TURN,
) -> Identity:
    """The identity that a person with `embedding (1, dim)` gets.

    `strength` goes along the sphere around the group's mean, from the person (0) to the new
    identity (1). The same key and seed give the same person the same identity in every photo,
    and different people different ones: the keyed direction is a rotation of the person's own.
    `turn` is the angle from the reflected axis towards the keyed direction, in radians.
    Raises `UnknownOption`.
    """
    if not 0 <= strength <= 1:
        raise UnknownOption(f"strength {strength} is not between 0 and 1")
    membership = population.membership(attributes, keep)
    origin = membership @ population.embeddings
    # What people of exactly this age would be on average: few of the crowd may be that old.
    origin = origin + population.natural_change(
        population.read(embedding[0]) - population.read(origin), keep
    )
    difference = embedding[0] - origin
    axis = F.normalize(difference, dim=0)
    rotation = _random_rotation(len(population.spread), key, seed).to(embedding)
    drawn = (
        rotation @ (population.directions @ axis / population.spread) * population.spread
    ) @ population.directions
    drawn = drawn - (drawn @ axis) * axis
    drawn = F.normalize(drawn - population.natural_change(drawn @ population.readout, keep), dim=0)
    angle = strength * (math.pi - turn)
    direction = math.cos(angle) * axis + math.sin(angle) * drawn
    # Somebody average has a short way to everybody: the new identity is at least as far from
    # the group's mean as its members usually are.
    usual = (membership @ (population.embeddings - origin).square().sum(1)).sqrt()
    radius = torch.lerp(difference.norm(), difference.norm().maximum(usual), strength)
    target = origin + radius * direction
    cosine = F.cosine_similarity(target - origin, difference, dim=0).item()
    return Identity(target[None], origin[None], cosine)


def _random_rotation(size: int, key: bytes, seed: int) -> torch.Tensor:
    """A uniformly random orthogonal matrix that only the key and the seed determine."""
    digest = hashlib.sha256(key + b"\0" + str(seed).encode()).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    q, r = torch.linalg.qr(torch.randn(size, size, generator=rng, dtype=torch.float64))
    return (q * r.diagonal().sign()).float()
