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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..controls import KEEP
from ..errors import UnknownOption
from .population import Attributes, Population

# From the reflected axis towards the keyed direction. Less lets who knows the method reflect the result
# back (rank 1 in a gallery of 41: 78 % at 0°, 44 % at 45°, 7 % at 70°, none at 90°), more leaves the
# person in it (an unseen recogniser's matches: none up to 70°, 5 % at 90°, 24 % at 110°).
TURN = math.radians(80)

# From a person's direction `(dim,)`, a key and a seed to the keyed one `(dim,)`, of any length
Draw = Callable[[Population, torch.Tensor, bytes, int], torch.Tensor]


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

        o + r(s) · (cos(s·φ) · a + sin(s·φ) · d),    r(s) = lerp(|e - o|, max(|e - o|, usual), s)

    where `φ` is the whole angle and `usual` how far members of the group are from their mean.
    """

    source: torch.Tensor  # (1, dim), the person's embedding e
    origin: torch.Tensor  # (1, dim), o
    axis: torch.Tensor  # (dim,), a
    direction: torch.Tensor  # (dim,), d
    angle: float  # φ, radians
    usual: torch.Tensor  # (), of the group

    def at(self, strength: float) -> Identity:
        """The identity at `strength` in [0, 1]: 0 is the person. Raises `UnknownOption`."""
        if not 0 <= strength <= 1:
            raise UnknownOption(f"strength {strength} is not between 0 and 1")
        angle = strength * self.angle
        direction = math.cos(angle) * self.axis + math.sin(angle) * self.direction
        difference = self.source[0] - self.origin[0]
        # People near the group's mean have no direction of their own to speak of: the new identity
        # is at least as far from the mean as the group's members usually are.
        near = difference.norm()
        radius = torch.lerp(near, near.maximum(self.usual), strength)
        target = self.origin[0] + radius * direction
        cosine = F.cosine_similarity(target - self.origin[0], difference, dim=0).item()
        return Identity(target[None], self.origin, cosine)


def whitened_rotation(population: Population, axis: torch.Tensor, key: bytes, seed: int) -> torch.Tensor:
    """The person's direction `axis (dim,)` in the population's principal components, whitened, rotated
    by the key and coloured again, so that what is drawn is as face-like as the person.

    Whitening blows the noise of a photo up: of two views of a generated person, which dlib matches in
    80 %, the targets match in 42 %, and in 50 % where blocks of 4 or 16 components are rotated without
    whitening. It stays nevertheless, because two keys' directions are then less alike by chance (their
    cosine spreads by 0.02, in blocks of 16 by 0.05), and drawn faces were linked a little more often in
    blocks. A share of the key alone, or components weighted by how well they agree between views,
    make a person's faces agree by making everybody's alike. `data/identity.json` has the numbers.
    """
    rotation = random_orthogonal(len(population.spread), key, seed).to(axis)
    whitened = population.directions @ axis / population.spread  # (64, dim) @ (dim,) -> (64,)
    return (rotation @ whitened * population.spread) @ population.directions


def identity_path(
    population: Population,
    embedding: torch.Tensor,
    attributes: Attributes,
    key: bytes,
    seed: int = 0,
    keep: Sequence[str] = KEEP,
    turn: float = TURN,
    draw: Draw = whitened_rotation,
) -> IdentityPath:
    """The way from the person with `embedding (1, dim)` to the identity that key and seed give.

    The same key and seed give the same person the same identity in every photo, and different
    people different ones: the keyed direction is a rotation of the person's own. `turn` is the
    angle from the reflected axis towards the keyed direction, in radians, and `draw` says where that is
    before what is kept is taken off. Raises `UnknownOption`.

    With the group's weights `m (N,)`, the population's embeddings `E (N, dim)`, its principal directions
    `V (64, dim)` and their spreads `σ (64,)`, and a random orthogonal `Q (64, 64)` of key and seed:

        o = m E + what the kept attributes' readout lacks of the person's own
        a = (e - o) / |e - o|
        d ∝ ((Q (V a / σ)) · σ) V, less its parts along a and along the kept attributes
        φ = π - turn,    usual² = Σ m |E - o|²
    """
    membership = population.membership(attributes, keep)  # (N,)
    origin = membership @ population.embeddings  # (dim,)
    # What people of exactly this age would be on average: few of the population may be that old.
    # Of gender a whole one is asked for: half of it would be a woman with a moustache.
    wanted = population.read(embedding[0])  # (3,): gender, age, tone
    wanted[0] = math.copysign(max(1.0, abs(wanted[0].item())), attributes.gender)
    origin = origin + population.natural_change(wanted - population.read(origin), keep)
    axis = F.normalize(embedding[0] - origin, dim=0)  # (dim,)
    drawn = draw(population, axis, key, seed)  # (dim,)
    # at a right angle to the axis, and without what would change the kept attributes
    drawn = drawn - (drawn @ axis) * axis
    drawn = F.normalize(drawn - population.natural_change(drawn @ population.readout, keep), dim=0)
    usual = (membership @ (population.embeddings - origin).square().sum(1)).sqrt()  # ()
    return IdentityPath(embedding, origin[None], axis, drawn, math.pi - turn, usual)


def virtual_identity(
    population: Population,
    embedding: torch.Tensor,
    attributes: Attributes,
    key: bytes,
    seed: int = 0,
    strength: float = 1.0,
    keep: Sequence[str] = KEEP,
    turn: float = TURN,
    draw: Draw = whitened_rotation,
) -> Identity:
    """The identity at one `strength` of `identity_path`."""
    path = identity_path(population, embedding, attributes, key, seed, keep, turn, draw)
    return path.at(strength)


def random_orthogonal(size: int, key: bytes, seed: int) -> torch.Tensor:
    """A uniformly random orthogonal matrix (a rotation or a reflection: the determinant may be -1)
    that only the key and the seed determine."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=keyed(key, seed), dtype=torch.float64))
    return (q * r.diagonal().sign()).float()


def keyed(key: bytes, seed: int) -> torch.Generator:
    """Random numbers that only the key and the seed determine, on the CPU."""
    digest = hashlib.sha256(key + b"\0" + str(seed).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
