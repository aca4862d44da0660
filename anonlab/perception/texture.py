"""Texture of a face, and linear readouts of it: facial hair, wrinkles, the folds of a smile.

Their weights are in `data/correction.safetensors`. The correction reads them, and facial hair tells
`regeneration/occlusion.py` what of a beard stays.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..images import grey
from ..recognizers import crop

# Boxes in an aligned side of 512, pixels at which they are read, and squares along a side
FACE, FACE_SIDE, FACE_CELLS = (112.0, 112.0, 400.0, 496.0), 128, 16  # brows to chin
CHIN, CHIN_SIDE, CHIN_CELLS = (144.0, 288.0, 368.0, 496.0), 64, 8  # mouth and chin
FAINT = 0.01  # contrast that counts as none
COLOUR = 2.0  # how much colours count beside contrast


def contrast(pictures: torch.Tensor, cells: int) -> torch.Tensor:
    """Compute the logarithm of the contrast between neighbours and second neighbours, across and down,
    on `cells`×`cells` squares of `pictures (N, 3, H, W)`: `(N, 4·cells²)`."""
    light, read = grey(pictures), []
    for step in (1, 2):
        across = light[..., step:] - light[..., :-step]
        down = light[..., step:, :] - light[..., :-step, :]
        read += [(F.adaptive_avg_pool2d(one.abs(), cells) + FAINT).log() for one in (across, down)]
    return torch.cat([one.flatten(1) for one in read], 1)


def texture(images: torch.Tensor) -> torch.Tensor:
    """Read the contrast on 16×16 squares of aligned `images (N, 3, S, S)` in [-1, 1]: `(N, 1024)`."""
    return contrast(crop(images, FACE, FACE_SIDE), FACE_CELLS)


def hair_features(images: torch.Tensor) -> torch.Tensor:
    """Read contrast, and colour less its mean, on 8×8 squares of mouth and chin in aligned `images (N,
    3, S, S)` in [-1, 1]: `(N, 448)`."""
    cut = crop(images, CHIN, CHIN_SIDE)
    colours = F.adaptive_avg_pool2d(cut, CHIN_CELLS)
    colours = COLOUR * (colours - colours.mean((2, 3), keepdim=True))
    return torch.cat([contrast(cut, CHIN_CELLS), colours.flatten(1)], 1)


def facial_hair(images: torch.Tensor, readout: torch.Tensor) -> torch.Tensor:
    """Map `images (N, 3, S, S)` by a `readout (449,)` to logits `(N,)`, positive with facial hair."""
    return hair_features(images) @ readout[:-1] + readout[-1]
