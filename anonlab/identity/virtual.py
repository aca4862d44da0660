"""The condition of stage 2: which new identity a person gets.

The target keeps what the person shares with a group (gender, age, skin tone, look) and moves
everything else: the embedding's difference from the group's mean is turned away from the person, to
95°, a little beyond a right angle, into a direction that only the holder of the key can compute. (A
plain reflection, 180°, is the farthest, but anyone can reflect it back.)
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

# From the reflected axis towards the keyed direction. Less lets an attacker with the method reflect the
# target back (rank 1 96 % at 70°, 15 % at 80°, none from 85° on), more leaves the person in it.
TURN = math.radians(85)
# How much farther along the arc a start aims than the identity is, because what it draws stops short:
# at 100, 115, 130 and 145° an unseen recogniser matches 11, 9, 4 and 2 % of 84 people (LFW).
BEYOND = math.radians(50)
TILTS = 8  # rounds in which the keyed direction gets both of its properties


@dataclass(frozen=True)
class Identity:
    """A virtual identity for one person."""

    target: torch.Tensor  # (1, dim), the embedding to reach
    origin: torch.Tensor  # (1, dim), the mean of the group, from which directions count
    cosine: float  # between target and source as seen from the origin


@dataclass(frozen=True)
class IdentityPath:
    """The way from a person to the virtual identity, an arc around the mean of the group.

    With `e` the person's embedding, `o` the origin, `a = (e - o) / |e - o|` and `d` the keyed
    direction at a right angle to it, strength `s` is at

        o + r(s) · (cos(s·φ) · a + sin(s·φ) · d),    r(s) = lerp(|e - o|, max(|e - o|, group_radius), s)

    where `φ` is the whole angle and `group_radius` how far members of the group are from their mean. N
    people have N rows.
    """

    source: torch.Tensor  # (N, dim), the persons' embeddings e
    origin: torch.Tensor  # (N, dim), o
    axis: torch.Tensor  # (N, dim), a
    direction: torch.Tensor  # (N, dim), d
    angle: torch.Tensor  # (N, 1), φ, radians
    group_radius: torch.Tensor  # (N, 1), of the group

    def targets(self, strength: float = 1.0, beyond: float = 0.0) -> torch.Tensor:
        """Compute the embeddings `(N, dim)` at `strength`, 0 for the person to 1, on an arc that is
        longer by the angle `beyond`. Raises `UnknownOption`."""
        if not 0 <= strength <= 1:
            raise UnknownOption(f"strength {strength} is not between 0 and 1")
        angle = strength * (self.angle + beyond)
        direction = angle.cos() * self.axis + angle.sin() * self.direction
        # People near the group's mean have no direction of their own to speak of: the new identity
        # is at least as far from the mean as the group's members usually are.
        near = (self.source - self.origin).norm(dim=1, keepdim=True)
        return self.origin + torch.lerp(near, near.maximum(self.group_radius), strength) * direction

    def aim(self, strength: float = 1.0) -> torch.Tensor:
        """Compute what a start is asked for, so that what it draws has the identity at `strength`: `(N,
        dim)`. Raises `UnknownOption`."""
        return self.targets(strength, BEYOND)

    def at(self, strength: float) -> Identity:
        """Give one person's identity at `strength`. Raises `UnknownOption`."""
        target = self.targets(strength)
        cosine = F.cosine_similarity(target - self.origin, self.source - self.origin).item()
        return Identity(target, self.origin, cosine)


def identity_paths(
    population: Population,
    embeddings: torch.Tensor,
    labels: torch.Tensor,
    rotation: torch.Tensor,
    keep: Sequence[str] = KEEP,
    turn: torch.Tensor | float = TURN,
) -> IdentityPath:
    """Give the ways from N people with `embeddings (N, dim)` to their new identities.

    `labels (N, 3 + LOOKS)` are in the columns of `Population.read`, `rotation (N or 1, 64, 64)` comes
    from key and seed, and `turn`, a number or `(N, 1)`, is the angle from the reflected axis towards the
    keyed direction, in radians. Raises `UnknownOption`.

    With the group's weights `m (M,)`, the population's embeddings `E (M, dim)`, its principal directions
    `V (64, dim)` and their spreads `σ (64,)`, and the orthogonal `Q (64, 64)`:

        o = m E + what the kept attributes' readout lacks of the person's own
        a = (e - o) / |e - o|
        d ∝ ((Q (V a / σ)) · σ) V, less its parts along a and along the kept attributes
        φ = π - turn,    group_radius² = Σ m |E - o|²
    """
    members = population.membership(labels, keep)  # (N, M)
    origin = members @ population.embeddings  # (N, dim)
    # What people of exactly this age would be on average: few of the population may be that old.
    # The full gender label (±1) is asked for: intermediate values decode to inconsistent faces.
    wanted = population.read(embeddings)
    gender = wanted[:, :1].abs().clamp_min(1) * torch.where(labels[:, :1] < 0, -1.0, 1.0)
    wanted = torch.cat([gender, wanted[:, 1:]], 1)
    origin = origin + population.natural_change(wanted - population.read(origin), keep)
    axis = F.normalize(embeddings - origin, dim=1)
    # Rotated in principal components, so that what is drawn is as face-like; whitened before, because
    # two keys' directions are then less alike by chance (`data/identity.json`).
    whitened = axis @ population.directions.T / population.spread  # (N, dim) to (N, 64)
    rotated = (rotation @ whitened[:, :, None])[:, :, 0]
    drawn = (rotated * population.spread) @ population.directions
    # at a right angle to the axis, and without what would change the kept attributes: one tilts the
    # other
    for _ in range(TILTS):
        drawn = drawn - (drawn * axis).sum(1, keepdim=True) * axis
        drawn = F.normalize(drawn - population.natural_change(drawn @ population.readout, keep), dim=1)
    # |E - o|² summed over the members, without the (N, M, dim) of all differences
    squares = population.embeddings.square().sum(1) - 2 * origin @ population.embeddings.T
    squares = squares + origin.square().sum(1, keepdim=True)
    group_radius = (members * squares).sum(1, keepdim=True).sqrt()
    angle = math.pi - turn + torch.zeros_like(group_radius)
    return IdentityPath(embeddings, origin, axis, drawn, angle, group_radius)


def identity_path(
    population: Population,
    embedding: torch.Tensor,
    attributes: Attributes,
    key: bytes,
    seed: int = 0,
    keep: Sequence[str] = KEEP,
) -> IdentityPath:
    """Give the way from the person with `embedding (1, dim)` to the identity of key and seed: the same
    in every photo, and another for another person. Raises `UnknownOption`."""
    labels = population.labels(embedding, [attributes])
    rotation = random_orthogonal(len(population.spread), key, seed).to(embedding)
    return identity_paths(population, embedding, labels, rotation[None], keep)


def random_orthogonal(size: int, key: bytes, seed: int) -> torch.Tensor:
    """Draw a uniformly random orthogonal matrix that only the key and the seed determine."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=keyed(key, seed), dtype=torch.float64))
    return (q * r.diagonal().sign()).float()


def keyed(key: bytes, seed: int) -> torch.Generator:
    """Make random numbers that only the key and the seed determine, on the CPU."""
    digest = hashlib.sha256(key + b"\0" + str(seed).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
