"""The turn of an identity, drawn in its plane."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Arc

from ..identity.virtual import IdentityPath
from .plots import one_axis

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
