"""Whether glasses are worn: a small readout of the eye region.

It learned from labels given by eye to generated faces (`data/labels.json`, `python -m anonlab
train glasses`). It is differentiable, so that training can ask a new face to keep the old one's
glasses and to add none, and it needs no package at run time.
"""

from __future__ import annotations

import torch
from torch import nn

from ..images import FACE_SIZE, resize
from ..weights import store
from .layers import conv_step

WINDOW = (48, 76, 208, 164)  # left, top, right, bottom: brows, both eyes and the rims' lower edges


class GlassesNetwork(nn.Module):
    """A window of 160×88 around both eyes to one number."""

    def __init__(self, channels: int = 16):
        super().__init__()
        c = channels
        self.features = nn.Sequential(
            conv_step(3, c, 2), conv_step(c, 2 * c, 2), conv_step(2 * c, 2 * c),
            conv_step(2 * c, 3 * c, 2), conv_step(3 * c, 3 * c), conv_step(3 * c, 4 * c, 2),
            conv_step(4 * c, 4 * c),
        )  # fmt: skip
        self.says = nn.Linear(8 * c, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` in [-1, 1] to logits `(N,)`: positive where glasses are
        worn.

        Sunglasses are glasses. Best with S ≥ 256: a thin rim is a pixel or two wide there.
        """
        return self.read(window(images))

    def read(self, windows: torch.Tensor) -> torch.Tensor:
        """Map what `window` cut, `(N, 3, 88, 160)`, to logits `(N,)`."""
        x = self.features(windows)
        # a rim is seen somewhere (the maximum), skin is seen everywhere (the mean)
        return self.says(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)).flatten()


def window(images: torch.Tensor) -> torch.Tensor:
    """Cut the eye region of aligned `images (N, C, S, S)`, `(N, C, 88, 160)`; differentiable."""
    left, top, right, bottom = WINDOW
    return resize(images, FACE_SIZE)[:, :, top:bottom, left:right]


def load_glasses(device: torch.device | str = "cpu") -> GlassesNetwork:
    """Load the one that ships, frozen. Raises `WeightsMissing` or `WeightsCorrupt`."""
    model = GlassesNetwork()
    model.load_state_dict(store.load_shipped("glasses"))
    return model.eval().requires_grad_(False).to(device)
