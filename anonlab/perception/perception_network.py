"""Stage 1 in one pass: a small U-Net that predicts the map of integrated gradients.

It learned from the recogniser's own maps on generated faces (`python -m anonlab train perception`)
and answers at once, which a slider needs; integrated gradients stay the reference. After
Ronneberger et al. 2015, much narrower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..images import resize
from ..weights import store
from .layers import conv_step


class PerceptionNetwork(nn.Module):
    """A picture of 128×128 to a map of 64×64."""

    resolution = 128
    map_size = 64

    def __init__(self, channels: int = 24):
        super().__init__()
        c = channels

        def level(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(conv_step(a, b, 2), conv_step(b, b))

        self.to_64 = level(3, c)
        self.to_32 = level(c, 2 * c)
        self.to_16 = level(2 * c, 4 * c)
        self.to_8 = level(4 * c, 6 * c)
        self.to_4 = nn.Sequential(level(6 * c, 6 * c), conv_step(6 * c, 6 * c))
        self.up_8 = conv_step(12 * c, 4 * c)
        self.up_16 = conv_step(8 * c, 2 * c)
        self.up_32 = conv_step(4 * c, 2 * c)
        self.up_64 = nn.Sequential(conv_step(3 * c, c), nn.Conv2d(c, 1, 3, padding=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` to the square root of their map, `(N, 1, 64, 64)`, ≥ 0.

        (The root, because the map's few peaks are a hundred times its median.)
        """
        at_64 = self.to_64(resize(images, self.resolution))
        at_32 = self.to_32(at_64)
        at_16 = self.to_16(at_32)
        at_8 = self.to_8(at_16)
        x = self.to_4(at_8)
        for up, skip in (
            (self.up_8, at_8),
            (self.up_16, at_16),
            (self.up_32, at_32),
            (self.up_64, at_64),
        ):
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1))
        return F.softplus(x)


def load_perception_network(device: torch.device | str = "cpu") -> PerceptionNetwork:
    """Load the one that ships, for the recogniser `dlib`. Raises `WeightsMissing` or
    `WeightsCorrupt`."""
    model = PerceptionNetwork()
    model.load_state_dict(store.load_shipped("perception"))
    return model.eval().requires_grad_(False).to(device)
