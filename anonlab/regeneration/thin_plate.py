"""Move what the generator drew to where the photo has it: lids, brows, lips and jaw.

Codes follow an expression roughly (the brows' height correlates .41 with the photo's, 54 people of LFW).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import RBFInterpolator

GRID = 64  # places a side at which the displacement is computed; it is smooth in between
BORDER = 8  # steps along each edge of the picture, which stays where it is
SMOOTHING = 1e-3  # of the spline: points are known to about a pixel of 128


def displacement(points: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    """Compute where each place comes from when `points (1, P, 2)` move to `to (1, P, 2)`.

    Points are x and y in [0, 1] of the side, the displacement `(1, 2, GRID, GRID)` is in the same
    units: a smoothing thin-plate spline (Bookstein 1989) that vanishes at the picture's edge. Points
    that are no numbers displace nothing.
    """
    wanted = to[0].double().cpu().numpy()
    away = points[0].double().cpu().numpy() - wanted
    if not np.isfinite(away).all():
        return torch.zeros(1, 2, GRID, GRID)
    steps = np.linspace(0, 1, BORDER + 1)
    edge = np.array([(x, y) for x in steps for y in steps if {x, y} & {0.0, 1.0}])
    spline = RBFInterpolator(
        np.concatenate([wanted, edge]), np.concatenate([away, np.zeros_like(edge)]), smoothing=SMOOTHING
    )
    middles = (np.arange(GRID) + 0.5) / GRID
    places = np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2)  # x, y
    return torch.from_numpy(spline(places)).float().view(1, GRID, GRID, 2).permute(0, 3, 1, 2)


def displaced(images: torch.Tensor, moved: torch.Tensor, window: tuple = (...,)) -> torch.Tensor:
    """Warp `images (1, C, S, S)` in [-1, 1] by a displacement `(1, 2, GRID, GRID)`; of the result the
    `window`, an index."""
    size = images.shape[-1]
    moved = F.interpolate(moved.to(images), size=(size, size), mode="bicubic", align_corners=False)
    steps = (torch.arange(size).to(images) * 2 + 1) / size - 1
    still = torch.stack(torch.meshgrid(steps, steps, indexing="xy"))[None]
    grid = (still + 2 * moved)[window].permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, "bicubic", "border", align_corners=False).clamp(-1, 1)
