"""The new face keeps the colour of the person's eyes.

Codes know the colour of an iris poorly: of dark eyes a third came out light. It is no work for a
network: both pictures say where the irises are, and a shift of colour is all that is needed.
"""

from __future__ import annotations

import torch

from ..images import blurred
from ..perception.eyes import EYES, IRIS, OPEN, eye_windows

SEARCHED = 0.2  # how far from the middle of the eye an iris is looked for, over the eye's width
STEPS = 17  # places on that way
CORE = 0.9  # of an iris's radius, within which its colour is read
SOFT = 0.02  # width of the edge of what is recoloured, over the eye's width
LID = 1.5 / 512  # Gaussian of the edge at the lids, over the side


def match_irises(
    generated: torch.Tensor, image: torch.Tensor, new_points: torch.Tensor, points: torch.Tensor
) -> torch.Tensor:
    """`generated (1, 3, S, S)` with the iris colours of `image (1, 3, S, S)`.

    `points (1, 68, 2)` are the photo's, `new_points` those of the generated face. The median colour
    of each iris is shifted to that of the photo's; an eye that is shut in either keeps its own.
    """
    windows, new_windows = eye_windows(points), eye_windows(new_points)
    generated, size = generated.clone(), image.shape[-1]
    for eye in range(len(EYES)):
        here, there = ([part[0, eye] for part in found] for found in (windows, new_windows))
        if any(opening / across.norm() < OPEN for _, across, opening in (here, there)):
            continue
        old, _, seen = _eye(image, *here)
        part, distance, new = _eye(generated, *there)
        if min(seen.sum(), new.sum()) < STEPS:
            continue  # a face of a few pixels has no irises
        shift = old[0, :, seen].median(1).values - part[0, :, new].median(1).values
        edge = torch.sigmoid((1.05 * IRIS - distance) / SOFT)  # (h, w)
        lids = blurred(new[None, None].to(image), max(LID * size, 0.4))[0, 0]
        part += shift[:, None, None] * (edge * lids)  # a part of `generated`
    return generated


def _eye(
    image: torch.Tensor, centre: torch.Tensor, across: torch.Tensor, opening: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The part of `image` around one eye, a view of it, and what `iris` says of that."""
    rows, columns = _around(centre, across, image.shape[-1])
    part = image[..., rows, columns]
    size, corner = image.shape[-1], torch.tensor([columns.start, rows.start]).to(centre)
    return part, *iris(part, centre * size - corner, across * size, opening * size)


def _around(centre: torch.Tensor, across: torch.Tensor, size: int) -> tuple[slice, slice]:
    """Rows and columns of a picture of side `size` that hold one eye, whole."""
    reach = across.norm()
    ends = [((centre - reach) * size).floor(), ((centre + reach) * size).ceil()]
    (left, top), (right, bottom) = (end.clamp(0, size).int().tolist() for end in ends)
    return slice(top, bottom), slice(left, right)


def iris(
    image: torch.Tensor, centre: torch.Tensor, across: torch.Tensor, opening: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the iris of one eye is: distances from its centre over the eye's width, `(h, w)`, and which
    pixels show it, as booleans `(h, w)`.

    `image (1, 3, h, w)`; `centre (2,)`, x and y, `across (2,)` and `opening ()` are as from
    `eye_windows`, in pixels of it. Of the discs along the line between the corners the darkest is
    taken; what the lids hide does not count.
    """
    width = across.norm()
    ys, xs = (torch.arange(n, device=image.device, dtype=image.dtype) + 0.5 for n in image.shape[2:])
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), 2) - centre  # (h, w, 2)
    down = torch.stack([-across[1], across[0]]) / width
    between_lids = (grid @ down).abs() < opening / 2
    grey = image[0].mean(0)
    found = []
    for way in torch.linspace(-SEARCHED, SEARCHED, STEPS).tolist():
        distance = (grid - way * across).norm(dim=2) / width
        inside = (distance < CORE * IRIS) & between_lids
        found.append((grey[inside].mean().nan_to_num(nan=torch.inf).item(), distance, inside))
    _, distance, inside = min(found, key=lambda one: one[0])
    return distance, inside
