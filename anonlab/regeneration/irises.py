"""The new face keeps the colour of the person's eyes.

Codes know the colour of an iris poorly: of dark eyes a third came out light. It is no work for a
network: both pictures say where the irises are, and a shift of colour is all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..images import blurred
from ..perception.eyes import EYES, IRIS, OPEN, eye_windows

SEARCHED = 0.16  # how far from the middle of the eye an iris is looked for, over the eye's width
STEPS = 17  # places on that way
STRAIGHT = 5.0  # brightness that a disc must lack to be taken at one eye's width from the middle
CORE = 0.9  # of an iris's radius, within which its colour is read
SOFT = 0.02  # width of the edge of what is recoloured, over the eye's width
LID = 1.5 / 512  # Gaussian of the edge at the lids, over the side


@dataclass(frozen=True)
class Eye:
    """The part of a picture around one eye."""

    part: torch.Tensor  # (1, 3, h, w), a view of the picture
    across: torch.Tensor  # (h, w), from the middle towards the right corner, in widths of the eye
    down: torch.Tensor  # (h, w)
    between_lids: torch.Tensor  # (h, w) bool

    def distance(self, way: float) -> torch.Tensor:
        """From the centre of an iris that is `way` to the right of the middle, `(h, w)`."""
        return ((self.across - way).square() + self.down.square()).sqrt()

    def iris(self, way: float) -> torch.Tensor:
        """Which pixels show that iris, as booleans `(h, w)`."""
        return (self.distance(way) < CORE * IRIS) & self.between_lids


def match_irises(
    generated: torch.Tensor, image: torch.Tensor, new_points: torch.Tensor, points: torch.Tensor
) -> torch.Tensor:
    """`generated (1, 3, S, S)` with the iris colours of `image (1, 3, S, S)`.

    `points (1, 68, 2)` are the photo's, `new_points` those of the generated face. The median colour
    of each iris is shifted to that of the photo's, or to that of the other eye where one is shut
    there. Shut eyes of the new face stay as they are.
    """
    generated = generated.clone()
    seen, new = open_eyes(image, points), open_eyes(generated, new_points)
    way, new_way = looking(seen), looking(new)
    colours = {eye: _colour(one, way) for eye, one in seen.items()}
    if not colours:
        return generated
    for eye, one in new.items():
        wanted = colours.get(eye, next(iter(colours.values())))
        edge = torch.sigmoid((1.05 * IRIS - one.distance(new_way)) / SOFT)  # (h, w)
        lids = one.between_lids[None, None].to(image)
        lids = blurred(lids, max(LID * image.shape[-1], 0.4))[0, 0]
        shift = (wanted - _colour(one, new_way))[:, None, None]
        one.part.add_(shift * (edge * lids))  # a part of `generated`
    return generated


def open_eyes(image: torch.Tensor, points: torch.Tensor) -> dict[int, Eye]:
    """The open eyes of `image (1, 3, S, S)` by `points (1, 68, 2)`: 0 is the one on the left side.
    Eyes of a few pixels are none."""
    size, found = image.shape[-1], {}
    for eye in range(len(EYES)):
        centre, across, opening = (part[0, eye].to(image) * size for part in eye_windows(points))
        width = across.norm()
        if not (opening / width >= OPEN and width >= STEPS):  # nor are points that are no numbers
            continue
        (left, top), (right, bottom) = (
            edge.clamp(0, size).int().tolist()
            for edge in ((centre - width).floor(), (centre + width).ceil())
        )
        part = image[..., top:bottom, left:right]
        x = torch.arange(left, right, device=image.device) + 0.5 - centre[0]
        y = torch.arange(top, bottom, device=image.device)[:, None] + 0.5 - centre[1]
        unit = across / width.square()
        along, below = x * unit[0] + y * unit[1], y * unit[0] - x * unit[1]  # in widths of the eye
        found[eye] = Eye(part, along, below, below.abs() < opening / width / 2)
    return found


def looking(eyes: dict[int, Eye]) -> float:
    """How far to the right of the middle of each eye both irises are, in widths of the eye.

    Of the places along the line between the corners that where the discs are darkest, both eyes
    together, because they look the same way and a shadow is in one corner only.
    """
    ways = torch.linspace(-SEARCHED, SEARCHED, STEPS).tolist()

    def brightness(way: float) -> float:
        discs = [one.part[0].mean(0)[one.iris(way)].mean().item() for one in eyes.values()]
        return sum(discs) / max(len(discs), 1) + STRAIGHT * way**2

    return min(ways, key=brightness)


def _colour(eye: Eye, way: float) -> torch.Tensor:
    """The median colour `(3,)` of its iris."""
    return eye.part[0][:, eye.iris(way)].median(1).values
