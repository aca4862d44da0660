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

# From the reflected axis towards the keyed direction. Less lets who knows the method reflect the result
# back (rank 1 in a gallery of 41: 78 % at 0°, 44 % at 45°, 7 % at 70°, none at 90°), more leaves the
# person in it (an unseen recogniser's matches: none up to 70°, 5 % at 90°, 24 % at 110°).
TURN = math.radians(80)
# Principal components that are rotated among themselves, neighbours in spread. All 64 at once need
# whitening, which blows the noise of a photo up, and colouring: on held-out generated people, whose two
# views dlib matches in 67 % at a false-accept rate of 0.3 %, their targets then match in 53 %; in blocks
# of 16, of 8 or of 4 in 56 to 59 %. Small blocks have few rotations to choose from.
BLOCK = 16


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


def identity_path(
    population: Population,
    embedding: torch.Tensor,
    attributes: Attributes,
    key: bytes,
    seed: int = 0,
    keep: Sequence[str] = KEEP,
    turn: float = TURN,
) -> IdentityPath:
    """The way from the person with `embedding (1, dim)` to the identity that key and seed give.

    The same key and seed give the same person the same identity in every photo, and different
    people different ones: the keyed direction is a rotation of the person's own. `turn` is the
    angle from the reflected axis towards the keyed direction, in radians. Raises `UnknownOption`.

    With the group's weights `m (N,)`, the population's embeddings `E (N, dim)`, its principal directions
    `V (64, dim)`, sorted by spread, and a random orthogonal `Q (64, 64)` of key and seed, which
    mixes only components of similar spread (`BLOCK`):

        o = m E + what the kept attributes' readout lacks of the person's own
        a = (e - o) / |e - o|
        d ∝ (Q V a) V, less its parts along a and along the kept attributes
        φ = π - turn,    usual² = Σ m |E - o|²

    `Q` leaves distances as they are: before those parts are taken off, new identities are as far apart
    as the people, and two photos of one person as near to each other, whatever the key. What is drawn is
    as face-like as the person, because no component gets the spread of one of another block.

    Tried on generated people and left, because every one of them only moves along one curve, on which
    consistency costs collapse: a direction that is partly the key's alone (87 % of two views' targets
    match when 30 % of different people's do); weights by how well each component agrees between views,
    before or after whitening within people; the nearest of some hundred keyed codes.
    """
    membership = population.membership(attributes, keep)  # (N,)
    origin = membership @ population.embeddings  # (dim,)
    # What people of exactly this age would be on average: few of the population may be that old.
    # Of gender a whole one is asked for: half of it would be a woman with a moustache.
    wanted = population.read(embedding[0])  # (3,): gender, age, tone
    wanted[0] = math.copysign(max(1.0, abs(wanted[0].item())), attributes.gender)
    origin = origin + population.natural_change(wanted - population.read(origin), keep)
    axis = F.normalize(embedding[0] - origin, dim=0)  # (dim,)
    # The person's direction in the population's principal components, rotated by the key
    rotation = keyed_rotation(len(population.directions), key, seed).to(embedding)
    drawn = (rotation @ (population.directions @ axis)) @ population.directions  # (dim,)
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
) -> Identity:
    """The identity at one `strength` of `identity_path`."""
    return identity_path(population, embedding, attributes, key, seed, keep, turn).at(strength)


def keyed_rotation(size: int, key: bytes, seed: int) -> torch.Tensor:
    """A random orthogonal matrix `(size, size)` that only the key and the seed determine: blocks of
    `BLOCK` along the diagonal (the last one may be smaller), each uniformly random.

    A block is a rotation or a reflection: its determinant may be -1.
    """
    digest = hashlib.sha256(key + b"\0" + str(seed).encode()).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    blocks = []
    for start in range(0, size, BLOCK):
        side = min(BLOCK, size - start)
        q, r = torch.linalg.qr(torch.randn(side, side, generator=rng, dtype=torch.float64))
        blocks.append((q * r.diagonal().sign()).float())
    return torch.block_diag(*blocks)
