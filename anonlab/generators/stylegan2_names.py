"""What each publisher calls the tensors of a StyleGAN2: one translation table each.

The original keeps weights at unit variance and scales them when it runs (equalised learning rates,
Karras et al. 2018); our network has them scaled, so that a table is names and factors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .stylegan2 import StyleGAN2Config

MAPPING_RATE = 0.01  # the mapping network learns that much more slowly
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


@dataclass(frozen=True)
class Row:
    """One tensor: its two names, and what theirs is multiplied by."""

    ours: str
    theirs: str
    factor: float = 1.0


@dataclass(frozen=True)
class Naming:
    """A publisher's names: of single tensors, of modules by number, and of what is inside these."""

    publisher: str
    average: str
    const: str  # a tensor that every file of theirs has
    mapping: str  # before the number of a layer, …
    first: int  # … which begins here
    conv: Callable[[int], str]  # by the row of W+ that it reads
    noise: Callable[[int], str]  # by the same
    rgb: Callable[[int], str]  # by the level
    affine: str
    weight: str
    bias: str  # of a convolution
    strength: str  # of the noise
    scaled: bool  # whether convolutions are; with demodulation only the epsilon is affected
    filters: str  # pattern of stored copies of the resampling filter

    def config(self, tensors: dict[str, torch.Tensor], clamp: float | None) -> StyleGAN2Config:
        """Infer the network that a file holds, from shapes. Raises `KeyError` with a missing name."""
        channels: list[int] = []
        while len(channels) < 2 or f"{self.conv(2 * len(channels))}.{self.weight}" in tensors:
            channels.append(tensors[f"{self.conv(2 * len(channels))}.{self.weight}"].shape[-4])
        pattern = re.escape(self.mapping) + r"(\d+)\.weight"
        matches = (re.fullmatch(pattern, name) for name in tensors)
        layers = sorted((int(match[1]), match[0]) for match in matches if match)
        if not layers:
            raise KeyError(f"{self.mapping}{self.first}.weight")
        first, last = tensors[layers[0][1]], tensors[layers[-1][1]]
        size = 2 * 2 ** len(channels)
        return StyleGAN2Config(size, tuple(channels), first.shape[1], last.shape[0], len(layers), clamp)

    def rows(self, config: StyleGAN2Config) -> Iterator[Row]:
        """List all tensors of the network."""
        yield Row("w_avg", self.average)
        yield Row("const", self.const)
        for layer in range(config.mapping_layers):
            fan_in = config.w_dim if layer else config.z_dim
            ours, theirs = f"mapping_layers.{layer}", f"{self.mapping}{layer + self.first}"
            yield Row(f"{ours}.weight", f"{theirs}.weight", MAPPING_RATE / fan_in**0.5)
            yield Row(f"{ours}.bias", f"{theirs}.bias", MAPPING_RATE)
        for row in range(2 * len(config.channels) - 1):
            ours, theirs = f"convs.{row}", self.conv(row)
            factor = (9 * config.channels[row // 2]) ** -0.5 if self.scaled else 1.0
            yield from self._layer(config, ours, theirs, self.bias, factor)
            yield Row(f"{ours}.noise_strength", f"{theirs}.{self.strength}")
            yield Row(f"{ours}.noise", self.noise(row))
        for level, channels in enumerate(config.channels):
            yield from self._layer(config, f"to_rgbs.{level}", self.rgb(level), "bias", channels**-0.5)

    def _layer(
        self, config: StyleGAN2Config, ours: str, theirs: str, bias: str, factor: float
    ) -> Iterator[Row]:
        yield Row(f"{ours}.affine.weight", f"{theirs}.{self.affine}.weight", config.w_dim**-0.5)
        yield Row(f"{ours}.affine.bias", f"{theirs}.{self.affine}.bias")
        yield Row(f"{ours}.weight", f"{theirs}.{self.weight}", factor)
        yield Row(f"{ours}.bias", f"{theirs}.{bias}")


def _nvidia_conv(row: int) -> str:
    return f"synthesis.b{4 * 2 ** ((row + 1) // 2)}.conv{(row + 1) % 2}"


NAMINGS = (
    Naming(  # stylegan2-ada-pytorch
        "NVIDIA", "mapping.w_avg", "synthesis.b4.const", "mapping.fc", 0,
        conv=_nvidia_conv, noise=lambda row: f"{_nvidia_conv(row)}.noise_const",
        rgb=lambda level: f"synthesis.b{4 * 2**level}.torgb",
        affine="affine", weight="weight", bias="bias", strength="noise_strength", scaled=False,
        filters=r"synthesis\.b\d+\.(conv\d\.)?resample_filter",
    ),
    Naming(
        "rosinality", "latent_avg", "input.input", "style.", 1,
        conv=lambda row: f"convs.{row - 1}" if row else "conv1",
        noise=lambda row: f"noises.noise_{row}",
        rgb=lambda level: f"to_rgbs.{level - 1}" if level else "to_rgb1",
        affine="conv.modulation", weight="conv.weight", bias="activate.bias", strength="noise.weight",
        scaled=True, filters=r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel",
    ),
)  # fmt: skip


def is_filter(kernel: torch.Tensor) -> bool:
    """Tell whether it is the filter [1, 3, 3, 1] that our network has built in, at any gain."""
    expected = torch.outer(TAPS, TAPS)
    return kernel.shape == (4, 4) and torch.allclose(kernel.float() / kernel.sum(), expected)
