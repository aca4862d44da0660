"""Figures of stage 3: the turn of an identity, seams close up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Arc

from ..identity.virtual import IdentityPath
from ..images import to_uint8
from .plots import gallery, one_axis

PERSON, NEW, REST = "#2e86ab", "#c44e52", "#b8c0c8"


def turn_plane(path: IdentityPath, embeddings: torch.Tensor) -> torch.Tensor:
    """`embeddings (N, dim)` as seen from the path's origin in the plane of its turn, `(N, 2)`: along its
    axis, on which the person lies, and at a right angle to it towards the keyed direction."""
    axis = path.axis[0]
    across = F.normalize(path.direction[0] - (path.direction[0] @ axis) * axis, dim=0)
    return (embeddings - path.origin) @ torch.stack([axis, across]).T


def turn_figure(path: IdentityPath, others: torch.Tensor) -> Figure:
    """The plane in which an identity is turned: the person, the reflected axis, the keyed direction, and
    the way to the target; `others (N, dim)` are people, as they lie in that plane."""
    figure, axis = one_axis(6.4, 4.6, "top", "right", xlabel="along the person's own direction")
    people = turn_plane(path, others).cpu()
    axis.plot(*people.T, ".", color=REST, ms=4, zorder=0, label="generated people")
    steps = np.linspace(0, 1, 41)
    way = torch.cat([turn_plane(path, path.at(float(s)).target) for s in steps]).cpu()
    person, target = way[0], way[-1]
    axis.plot(*way.T, color=NEW, lw=1.5, label="strength from 0 to 1")
    near, radius = person[0].item(), target.norm().item()
    angle = math.degrees(math.atan2(target[1], target[0]))
    for end in ((-near, 0), (0, radius)):
        axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "ls": ":", "color": "#666666"})
    for end, colour in ((person, PERSON), (target, NEW)):
        axis.plot([0, end[0]], [0, end[1]], color=colour, lw=1.2)
        axis.plot(*end, "o", color=colour, ms=8)
    axis.add_patch(Arc((0, 0), near / 2, near / 2, theta1=0, theta2=angle, color=NEW))
    axis.plot(0, 0, "k+", ms=10)
    said = (
        ("the person", person, (6, -14), "left"),
        (f"the new identity, {angle:.0f}°", target, (-8, 4), "right"),
        ("reflected axis, 180°", (-near, 0), (0, -14), "center"),
        ("keyed direction", (0, radius), (8, 4), "left"),
        ("mean of the group", (0, 0), (6, -14), "left"),
    )
    for text, point, offset, side in said:
        axis.annotate(text, tuple(point), offset, textcoords="offset points", ha=side, fontsize=9)
    low = people[:, 1].min().item()
    axis.set(ylabel="along the keyed direction", aspect="equal", xlim=(-1.3 * near, 1.45 * near),
             ylim=(min(1.1 * low, -0.3 * near), 1.2 * radius))  # fmt: skip
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def seam_ring(mask: torch.Tensor) -> torch.Tensor:
    """Where a seam would show: the photo's pixels around a mask, `(N, 1, S, S)` 0 or 1. They are within
    8 pixels of 256 of where the mask is over one half, and not themselves in the mask."""
    reach = 2 * round(8 * mask.shape[-1] / 256) + 1
    half = (mask > 0.5).to(mask)
    wider = F.max_pool2d(half, reach, stride=1, padding=reach // 2)
    return wider * (mask < 0.02)


def worst_places(error: torch.Tensor, count: int, side: int) -> list[tuple[int, int]]:
    """The `count` windows of `side` pixels, apart from one another, in which the mean of
    `error (1, 1, S, S)` is largest: their (top, left), worst first."""
    means = F.avg_pool2d(error, side, stride=side // 8)[0, 0].clone()
    found = []
    for _ in range(count):
        row, column = divmod(int(means.argmax()), means.shape[1])
        found.append((row * (side // 8), column * (side // 8)))
        means[max(0, row - 7) : row + 8, max(0, column - 7) : column + 8] = -1
    return found


def crops_figure(
    before: torch.Tensor, after: torch.Tensor, places: Sequence[tuple[int, int]], side: int
) -> Figure:
    """Windows of `side` pixels of two aligned pictures `(1, 3, S, S)`, close up and not smoothed: both
    side by side for each of `places`, their top and left."""
    windows, titles = [], []
    for top, left in places:
        for image in (before, after):
            close = to_uint8(image[..., top : top + side, left : left + side].cpu())
            windows.append(close.repeat(4, 0).repeat(4, 1))
        titles += [f"photo, rows {top}–{top + side}, columns {left}–{left + side}", "anonymized"]
    return gallery(windows, titles)
