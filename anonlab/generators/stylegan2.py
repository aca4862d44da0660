"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) in plain torch: config F, skip architecture.

Written from the paper. Equalised learning rates (Karras et al. 2018, arXiv:1710.10196) are
folded into the weights by the loader, so what is here is what the network computes; the tests
compare it with slow, direct formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..images import FACE_SIZE, resize
from .base import LRELU_GAIN, Generator


@dataclass(frozen=True)
class StyleGAN2Config:
    """The shape of the network, as the loaders infer it from a file."""

    img_resolution: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64, 32)  # at 4, 8, 16 … px
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    conv_clamp: float | None = None  # of activations, in networks that were trained in half precision

    def __post_init__(self) -> None:
        levels = self.img_resolution.bit_length() - 2
        assert self.img_resolution == 2 ** (levels + 1) >= 8, f"{self.img_resolution} is not a size"
        assert len(self.channels) == levels, f"{self.channels} are not the channels of {levels} levels"


def upfirdn2d(
    x: torch.Tensor, taps: torch.Tensor, padding: tuple[int, int], up: int = 1
) -> torch.Tensor:
    """Insert `up - 1` zeros between the pixels of `x (N, C, H, W)` and filter, in both directions, by
    twice `taps (K,)`: one of four pixels is no zero. `padding` (before, after) is in pixels of the
    upsampled image.
    """
    n, c, h, w = x.shape
    if up > 1:
        x = F.pad(x.reshape(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = x.reshape(n, c, h * up, w * up)
    x = F.pad(x, padding * 2)
    kernel = taps.flip(0) * 2  # flipped: conv2d correlates
    x = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(c, -1, -1, -1), groups=c)
    return F.conv2d(x, kernel.view(1, 1, -1, 1).expand(c, -1, -1, -1), groups=c)


def modulated_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    styles: torch.Tensor,
    demodulate: bool = True,
    up: bool = False,
) -> torch.Tensor:
    """Convolve `x (N, I, H, W)` with `weight (O, I, k, k)` scaled by `styles (N, I)` for each sample.

    With `demodulate` every output channel's kernel has norm 1. With `up` the result is that of a
    transposed convolution with stride 2, `(N, O, 2H + k - 2, …)`, else it has the size of `x`. The
    activations are scaled before and after one shared convolution, which is the same as a kernel for
    each sample, and on a CPU 1.3 times as fast (1.7 with gradients).
    """
    x = x * styles[:, :, None, None]
    if up:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    else:
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if not demodulate:
        return x
    return x * (styles.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()[:, :, None, None]


class StyledConv(nn.Module):
    """Modulated 3×3 convolution, doubling the size first if `up`; noise, bias, leaky ReLU."""

    noise: torch.Tensor

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, size: int, up: bool, clamp: float | None
    ):
        super().__init__()
        self.up, self.clamp = up, clamp
        self.affine = nn.Linear(w_dim, in_channels)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.zeros(size, size))

    def forward(self, x: torch.Tensor, w: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
        x = modulated_conv2d(x, self.weight, self.affine(w), up=self.up)
        if self.up:
            x = upfirdn2d(x, taps, (1, 1))
        x = x + self.noise * self.noise_strength
        x = F.leaky_relu(x + self.bias[:, None, None], 0.2) * LRELU_GAIN
        return x.clamp(-self.clamp, self.clamp) if self.clamp else x


class ToRGB(nn.Module):
    """A modulated 1×1 convolution to colours, without demodulation."""

    def __init__(self, in_channels: int, w_dim: int, clamp: float | None):
        super().__init__()
        self.clamp = clamp
        self.affine = nn.Linear(w_dim, in_channels)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x = modulated_conv2d(x, self.weight, self.affine(w), demodulate=False)
        x = x + self.bias[:, None, None]
        return x.clamp(-self.clamp, self.clamp) if self.clamp else x


class StyleGAN2(Generator):
    """The generator: see `anonlab.generators.base.Generator` for the contract.

    `num_ws` is 14, 16 or 18 for 256, 512 or 1024 px: one row for each convolution, and one for the
    last to-RGB layer; the others share the row of the convolution after them. Pictures smaller than
    native are its means, at its full price: the picture is a sum over sizes, but the sum up to one
    of them is no small version of it, because the larger ones add more than detail (figure 8 of the
    paper: in config F most of the contrast).
    """

    name = "stylegan2"
    taps: torch.Tensor
    convs: Any  # modules in a list have no type of their own

    def __init__(self, config: StyleGAN2Config = StyleGAN2Config()):
        sizes = tuple(4 * 2**level for level in range(len(config.channels)))
        super().__init__(2 * len(sizes), config.z_dim, config.w_dim, config.mapping_layers)
        self.config, self.sizes = config, sizes
        self.img_resolution = config.img_resolution
        self.resolutions = tuple(size for size in sizes if size >= min(FACE_SIZE, sizes[-1]))
        channels, rest = config.channels, config.conv_clamp
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.convs = nn.ModuleList([StyledConv(channels[0], channels[0], config.w_dim, 4, False, rest)])
        for (before, after), size in zip(pairwise(channels), self.sizes[1:], strict=True):
            self.convs.append(StyledConv(before, after, config.w_dim, size, True, rest))
            self.convs.append(StyledConv(after, after, config.w_dim, size, False, rest))
        self.to_rgbs = nn.ModuleList(ToRGB(c, config.w_dim, rest) for c in channels)
        self.register_buffer("taps", torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8, persistent=False)

    def synthesis(self, ws: torch.Tensor, resolution: int | None = None) -> torch.Tensor:
        """Draw `ws (N, num_ws, w_dim)` as images `(N, 3, R, R)`, R one of `resolutions` (default
        native), with the noise of the file."""
        resolution = self._checked(ws, resolution)
        x = self.const.expand(len(ws), -1, -1, -1)
        image = x.new_zeros(())
        for level in range(len(self.sizes)):
            for row in range(max(0, 2 * level - 1), 2 * level + 1):
                x = self.convs[row](x, ws[:, row], self.taps)
            if level:
                image = upfirdn2d(image, self.taps, (2, 1), up=2)
            image = image + self.to_rgbs[level](x, ws[:, 2 * level + 1])
        return resize(image, resolution)
