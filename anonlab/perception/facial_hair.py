"""Whether a moustache or a beard is worn: a linear readout of texture and colour around the mouth.

It learned from labels given by eye to generated faces (`data/labels.json`); its weights are in
`data/correction.safetensors`, which is what asks it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..recognizers import crop

BOX, SIDE, CELLS = (144.0, 288.0, 368.0, 496.0), 64, 8  # of an aligned side of 512: mouth and chin
FAINT = 0.01  # contrast that counts as none
LUMA = (0.299, 0.587, 0.114)
COLOUR = 2.0  # how much colours count beside contrast


def features(images: torch.Tensor) -> torch.Tensor:
    """Read contrast between neighbours and second neighbours, its logarithm, and colour less the mean,
    on 8×8 squares of aligned `images (N, 3, S, S)` in [-1, 1]: `(N, 448)`."""
    cut = crop(images, BOX, SIDE)
    light = sum(weight * channel for weight, channel in zip(LUMA, cut.split(1, 1), strict=True))
    read = []
    for step in (1, 2):
        across = light[..., step:] - light[..., :-step]
        down = light[..., step:, :] - light[..., :-step, :]
        read += [(F.adaptive_avg_pool2d(one.abs(), CELLS) + FAINT).log() for one in (across, down)]
    colours = F.adaptive_avg_pool2d(cut, CELLS)
    read.append(COLOUR * (colours - colours.mean((2, 3), keepdim=True)))
    return torch.cat([one.flatten(1) for one in read], 1)


def facial_hair(images: torch.Tensor, readout: torch.Tensor) -> torch.Tensor:
    """Return logits `(N,)` of aligned `images (N, 3, S, S)`: positive where facial hair is worn."""
    return features(images) @ readout[:-1] + readout[-1]
