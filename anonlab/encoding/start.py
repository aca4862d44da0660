"""Where the codes of a face start: at those of the trained encoder, or at the linear ones.

A start maps an aligned face `image (1, 3, S, S)`, its `mask (1, 1, S, S)`, the person's embedding
`source (1, dim)` and the one to reach, `target`, to `ws (1, num_ws, w_dim)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..generators.base import truncate_to_rms
from ..images import FACE_SIZE, blurred, resize
from ..openvino_runtime import roughly
from ..photo.grain import grain
from .correction import Correction
from .encoder import Encoder
from .linear import LinearInitialization

# How far beyond the identity the linear start aims without refinement, because ridge regression shrinks:
# 14 generated faces, dlib's matches from 5 to 1 at ST-LPIPS 0.075 instead of 0.061; from 2 faces break.
OVERSHOOT = 1.5
# The same of the encoder and its correction. At 1, 1.2, 1.4, 1.6 (24 held-out generated faces, area .25)
# dlib's distance is below 0.7 for 50, 12, 0, 0 %; ST-LPIPS is 0.046, 0.051, 0.055, 0.059.
AIM = 1.5
# How large codes may be, in standard deviations of w (as people at truncation_psi 0.75): an aim beyond
# faces leads to blotches. 18 photos, no limit and 0.7: ST-LPIPS .064 and .059 at the same distance.
MAX_RMS = 0.75
# A face whose brightest tenth is darker than DIM of white is shown to the networks as bright as LIT,
# because they know hardly any dark pictures, and draw what they read in them too bright; and under a
# Gaussian of GRAIN of 512 pixels, because they take the noise of the dark for glasses and wrinkles.
DIM, LIT, BRIGHTEST, GRAIN = 0.3, 0.6, 0.9, 1.5
INNER = slice(64, 224), slice(56, 200)  # rows and columns of 256 in which a photo's noise is measured


def gain_of(image: torch.Tensor) -> torch.Tensor:
    """Compute how many times as bright aligned faces `image (N, 3, S, S)` are shown: `(N, 1, 1, 1)`."""
    bright = (resize(image, 64).mean(1).flatten(1).quantile(BRIGHTEST, 1) + 1) / 2
    gain = torch.where(bright < DIM, LIT / bright.clamp_min(1 / 255), torch.ones_like(bright))
    return gain.view(-1, 1, 1, 1)


def noise_of(image: torch.Tensor) -> torch.Tensor:
    """Measure the noise of aligned faces `image (N, 3, S, S)` at 256 px, as bright as they are shown:
    standard deviations `(N,)`."""
    grey = resize(image, FACE_SIZE).mean(1).cpu().numpy()[:, *INNER]
    levels = [grain(one, np.ones_like(one, bool)) for one in grey]
    return gain_of(image).flatten() * torch.tensor(levels).to(image)


def brightened(image: torch.Tensor) -> torch.Tensor:
    """Brighten and smooth dark aligned faces `image (N, 3, S, S)`; others stay as they are."""
    gain = gain_of(image)
    smooth = torch.where(gain > 1, blurred(image, GRAIN * image.shape[-1] / 512), image)
    return (gain * (smooth + 1) - 1).clamp(-1, 1)


@dataclass(frozen=True)
class LinearStart:
    """The linear initialisation, the same row for every style input: `w_avg` for a generator that did
    not make the population. It aims `overshoot` times as far from the person as the identity is."""

    linear: LinearInitialization
    overshoot: float = 1.0
    name = "linear"

    @torch.no_grad()
    def __call__(self, image, mask, source, target) -> torch.Tensor:
        w = self.linear(brightened(image), source + self.overshoot * (target - source))
        return self.linear.generator.broadcast(w)


@dataclass(frozen=True)
class EncoderStart:
    """One pass of the encoder, and its correction, if the generator has one. Both aim `overshoot` times
    as far from the person as the identity is; their codes stay as small as people's."""

    encoder: Encoder
    correction: Correction | None = None
    overshoot: float = 1.0
    name = "encoder"

    @torch.no_grad()
    def __call__(self, image, mask, source, target) -> torch.Tensor:
        noise, image = noise_of(image), brightened(image)
        aim = source + self.overshoot * (target - source)
        with roughly(image.device):
            ws = self.encoder(image, mask, aim).float()
        ws = truncate_to_rms(ws, self.encoder.w_avg, self.encoder.w_std, MAX_RMS)
        if self.correction is None:
            return ws
        return self.correction(ws, image, mask, aim, noise, max_rms=MAX_RMS)


Start = LinearStart | EncoderStart
