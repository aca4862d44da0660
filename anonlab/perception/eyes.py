"""The irises of an aligned face: cut out for a loss, and their colour for measuring."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from skimage.color import rgb2lab

from ..images import blurred

EYES = (tuple(range(36, 42)), tuple(range(42, 48)))  # of 68 points: first the eye on the left side
WIDTH = 0.9  # of a patch, over the distance between the corners of the eye
CELLS = 48  # a patch's side when colours are read from it
IRIS = 0.19  # radius of an iris over the width of its eye
RING = (0.35, 0.9)  # where it is looked at, over its radius: outside the pupil, inside the sclera
RANKS = (0.1, 0.6)  # from which darkness to which: above it are reflections, sclera and lid
OPEN = 0.17  # below this opening over the eye's width there is nothing to be seen


def eye_windows(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where the eyes of 68 `points (N, 68, 2)` are: centres `(N, 2, 2)` (eye, x and y), directions
    from the left to the right corner `(N, 2, 2)`, as long as the eye is wide, and openings `(N, 2)`,
    the mean distance of the lids. All in the units of the points.

    The centre is that of the four points on the lids, between which the iris lies.
    """
    eyes = torch.stack([points[:, list(eye)] for eye in EYES], 1)  # (N, 2, 6, 2)
    centres = eyes[:, :, [1, 2, 4, 5]].mean(2)
    across = eyes[:, :, 3] - eyes[:, :, 0]
    openings = (eyes[:, :, [1, 2]] - eyes[:, :, [5, 4]]).norm(dim=3).mean(2)
    return centres, across, openings


def iris_patches(
    images: torch.Tensor, points: torch.Tensor, size: int = 24, width: float = WIDTH
) -> torch.Tensor:
    """Square patches `(N, 2, 3, size, size)` around both eyes of aligned `images (N, 3, S, S)`.

    `points (N, 68, 2)` are in [0, 1] of the side, in the order of iBUG 300-W. A patch is turned with
    the eye and `width` times as wide as it. Differentiable in the images and in the points; for a
    loss, give both pictures the points of one, without gradient, so that pixels are compared with
    pixels. Bilinear and without a filter: meant for patches that are about as large in the picture.
    """
    n, channels = images.shape[:2]
    centres, across, _ = eye_windows(points.to(images))
    right = across * width / 2  # half the patch
    down = torch.stack([-right[..., 1], right[..., 0]], 2)
    steps = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) * 2 / size - 1
    grid = (
        centres[:, :, None, None]
        + steps[None, None, None, :, None] * right[:, :, None, None]
        + steps[None, None, :, None, None] * down[:, :, None, None]
    )  # (N, 2, size, size, 2)
    grid = (2 * grid - 1).reshape(n, 2 * size, size, 2)  # one eye below the other: one sampling
    patches = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return patches.reshape(n, channels, 2, size, size).transpose(1, 2)


def iris_colours(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Lightness L* and yellowness b* (CIE Lab) of the irises of aligned faces, `(N, 2)`.

    `images (N, 3, S, S)` in [-1, 1], S = 512 or about; `points (N, 68, 2)` in [0, 1], dlib's or the
    landmark network's. The mean of both eyes, of the open one if one is shut, NaN where both are.
    Brown is about 15 and blue or grey 30 in even light: L* is that of the picture, light included.

    An iris is searched for along the line between the corners, where the eye is darkest. It is read
    in the lower half of its ring, because the upper one is in the shadow of lid and lashes.
    """
    _, across, openings = eye_windows(points)
    openings = (openings / across.norm(dim=2)).cpu()  # (N, 2)
    patches = iris_patches(images, points, CELLS).cpu().clamp(-1, 1) / 2 + 0.5
    lab = torch.from_numpy(rgb2lab(patches.permute(0, 1, 3, 4, 2).double().numpy()))  # (N, 2, s, s, 3)
    steps = ((torch.arange(CELLS) + 0.5) * 2 / CELLS - 1) * WIDTH / 2  # in widths of the eye
    colours = torch.full((*openings.shape, 2), torch.nan)
    for person, eye in (openings > OPEN).nonzero().tolist():
        pixels, opening = lab[person, eye], openings[person, eye]
        ring = _ring(pixels[..., 0], steps, float(opening))
        found = pixels[ring]
        low, high = (int(rank * len(found)) for rank in RANKS)
        found = found[found[:, 0].argsort()][low : high + 1]
        colours[person, eye] = found.mean(0)[[0, 2]].float()
    return colours.nanmean(1)


def _ring(lightness: torch.Tensor, steps: torch.Tensor, opening: float) -> torch.Tensor:
    """Which cells of a patch `(s, s)` show the lower half of the iris, as a mask `(s, s)`."""
    soft = blurred(lightness[None, None].float(), 0.07 * CELLS)[0, 0]
    column = soft[steps.abs() < 0.35 * opening].mean(0)
    column = column.where(steps.abs() < 0.2, torch.inf)
    x, y = steps[None] - steps[column.argmin()], steps[:, None]
    distance = (x.square() + y.square()).sqrt() / IRIS
    inside = (distance > RING[0]) & (distance < RING[1])
    return inside & (y > 0.1 * x.abs()) & (y < 0.3 * opening)
