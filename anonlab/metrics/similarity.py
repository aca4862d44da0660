"""What the picture lost: pixel by pixel, over all of it or outside the part that tells the identity.

ST-LPIPS and LPIPS live in `anonlab.recognizers.perceptual`. Everything here takes one aligned pair
`(1, 3, S, S)` in [-1, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.metrics import structural_similarity

from ..images import to_uint8

VISIBLE = 2  # of 255: a smaller difference is rounding


def ssim_map(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """Return every pixel's structural similarity, `(S, S)`, 1 where nothing changed; its mean is SSIM.

    Wang et al. 2004 with their Gaussian window, by scikit-image, mean of the three colours.
    """
    _, similarity = structural_similarity(
        to_uint8(before), to_uint8(after), channel_axis=2, data_range=255, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return similarity.mean(2)


def psnr(before: torch.Tensor, after: torch.Tensor, weight: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio in decibels, on 8-bit pixels; 100 at most (for no change).

    `weight (S, S)` in [0, 1] says how much each pixel counts.
    """
    difference = to_uint8(before).astype(np.float64) - to_uint8(after)
    squared = (difference**2).mean(2)
    error = squared.mean() if weight is None else (squared * weight).sum() / weight.sum()
    return float(min(100.0, 10 * np.log10(255**2 / max(error, 1e-12))))


def changed_share(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the share of pixels of which a colour changed by more than 2 of 255."""
    difference = np.abs(to_uint8(before).astype(int) - to_uint8(after))
    return float((difference.max(2) > VISIBLE).mean())
