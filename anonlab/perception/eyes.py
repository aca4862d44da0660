"""Find the eyes of an aligned face, and cut its irises out, for a loss and for the correction."""

from __future__ import annotations

import torch
import torch.nn.functional as F

EYES = (tuple(range(36, 42)), tuple(range(42, 48)))  # of 68 points: first the eye on the left side


def eye_windows(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Locate the eyes of 68 `points (N, 68, 2)`: centres `(N, 2, 2)` (eye, x and y) of the four points
    on the lids, and the ways `(N, 2, 2)` from the left to the right corner."""
    eyes = torch.stack([points[:, list(eye)] for eye in EYES], 1)  # (N, 2, 6, 2)
    return eyes[:, :, [1, 2, 4, 5]].mean(2), eyes[:, :, 3] - eyes[:, :, 0]


def iris_patches(
    images: torch.Tensor, points: torch.Tensor, size: int = 24, width: float = 0.9
) -> torch.Tensor:
    """Cut square patches `(N, 2, 3, size, size)` around both eyes of aligned `images (N, 3, S, S)`.

    `points (N, 68, 2)` are in [0, 1] of the side, in the order of iBUG 300-W. A patch is turned with
    the eye and `width` times as wide as it. Differentiable in the images and in the points; for a
    loss, give both pictures the points of one, without gradient, so that pixels are compared with
    pixels. Bilinear and without a filter: meant for patches that are about as large in the picture.
    """
    n, channels = images.shape[:2]
    centres, across = eye_windows(points.to(images))
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
