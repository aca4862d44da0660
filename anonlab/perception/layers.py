"""The layer that the small networks are made of."""

from __future__ import annotations

from torch import nn


def conv_step(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Make a 3×3 convolution, group norm and SiLU; `stride` 2 halves the picture."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.GroupNorm(8, out_channels), nn.SiLU()
    )
