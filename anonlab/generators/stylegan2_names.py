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
    """A publisher's names."""

    publisher: str
    mark: str  # a tensor that every file of theirs has
    mapping: str  # pattern of the mapping layers' weights
    conv: Callable[[int], str]  # the weight of the convolution that reads a row of W+
    rows: Callable[[StyleGAN2Config], Iterator[Row]]
    filters: str = r"$^"  # pattern of stored copies of the resampling filter

    def config(self, tensors: dict[str, torch.Tensor], clamp: float | None) -> StyleGAN2Config:
        """Infer the network that a file holds, from shapes. Raises `KeyError` with the name it
        misses."""
        channels: list[int] = []
        while len(channels) < 2 or self.conv(2 * len(channels)) in tensors:
            shape = tensors[self.conv(2 * len(channels))].shape
            channels.append(shape[-4])
        matches = (re.fullmatch(self.mapping, name) for name in tensors)
        layers = sorted((int(match[1]), match[0]) for match in matches if match)
        if not layers:
            raise KeyError(self.mapping)
        first, last = tensors[layers[0][1]], tensors[layers[-1][1]]
        size = 2 * 2 ** len(channels)
        return StyleGAN2Config(size, tuple(channels), first.shape[1], last.shape[0], len(layers), clamp)


def _mapping(config: StyleGAN2Config, theirs: str, first: int) -> Iterator[Row]:
    for i in range(config.mapping_layers):
        fan_in = config.z_dim if i == 0 else config.w_dim
        ours, name = f"mapping_layers.{i}", f"{theirs}{i + first}"
        yield Row(f"{ours}.weight", f"{name}.weight", MAPPING_RATE / fan_in**0.5)
        yield Row(f"{ours}.bias", f"{name}.bias", MAPPING_RATE)


def _affine(config: StyleGAN2Config, ours: str, theirs: str) -> Iterator[Row]:
    yield Row(f"{ours}.affine.weight", f"{theirs}.weight", config.w_dim**-0.5)
    yield Row(f"{ours}.affine.bias", f"{theirs}.bias")


def _nvidia_conv(row: int) -> str:
    return f"synthesis.b{4 * 2 ** ((row + 1) // 2)}.conv{(row + 1) % 2}"


def _nvidia(config: StyleGAN2Config) -> Iterator[Row]:
    """Translate stylegan2-ada-pytorch: convolutions with demodulation are not scaled, because it
    cancels."""
    yield Row("w_avg", "mapping.w_avg")
    yield from _mapping(config, "mapping.fc", 0)
    yield Row("const", "synthesis.b4.const")
    for row in range(2 * len(config.channels) - 1):
        ours, theirs = f"convs.{row}", _nvidia_conv(row)
        yield from _affine(config, ours, f"{theirs}.affine")
        yield Row(f"{ours}.noise", f"{theirs}.noise_const")
        for part in ("weight", "bias", "noise_strength"):
            yield Row(f"{ours}.{part}", f"{theirs}.{part}")
    for level, channels in enumerate(config.channels):
        ours, theirs = f"to_rgbs.{level}", f"synthesis.b{4 * 2**level}.torgb"
        yield from _affine(config, ours, f"{theirs}.affine")
        yield Row(f"{ours}.weight", f"{theirs}.weight", channels**-0.5)
        yield Row(f"{ours}.bias", f"{theirs}.bias")


def _rosinality(config: StyleGAN2Config) -> Iterator[Row]:
    """Translate rosinality: every convolution is scaled; with demodulation only the epsilon is
    affected."""
    yield Row("w_avg", "latent_avg")
    yield from _mapping(config, "style.", 1)
    yield Row("const", "input.input")
    for row in range(2 * len(config.channels) - 1):
        ours, theirs = f"convs.{row}", f"convs.{row - 1}" if row else "conv1"
        fan_in = config.channels[row // 2] * 9
        yield from _affine(config, ours, f"{theirs}.conv.modulation")
        yield Row(f"{ours}.weight", f"{theirs}.conv.weight", fan_in**-0.5)
        yield Row(f"{ours}.bias", f"{theirs}.activate.bias")
        yield Row(f"{ours}.noise_strength", f"{theirs}.noise.weight")
        yield Row(f"{ours}.noise", f"noises.noise_{row}")
    for level, channels in enumerate(config.channels):
        ours, theirs = f"to_rgbs.{level}", f"to_rgbs.{level - 1}" if level else "to_rgb1"
        yield from _affine(config, ours, f"{theirs}.conv.modulation")
        yield Row(f"{ours}.weight", f"{theirs}.conv.weight", channels**-0.5)
        yield Row(f"{ours}.bias", f"{theirs}.bias")


NAMINGS = (
    Naming(
        "NVIDIA",
        "synthesis.b4.const",
        r"mapping\.fc(\d+)\.weight",
        lambda row: f"{_nvidia_conv(row)}.weight",
        _nvidia,
        r"synthesis\.b\d+\.(conv\d\.)?resample_filter",
    ),
    Naming(
        "rosinality",
        "input.input",
        r"style\.(\d+)\.weight",
        lambda row: f"convs.{row - 1}.conv.weight" if row else "conv1.conv.weight",
        _rosinality,
        r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel",
    ),
)


def is_filter(kernel: torch.Tensor) -> bool:
    """Tell whether it is the resampling filter [1, 3, 3, 1] that our network has built in, at any
    gain."""
    expected = torch.outer(TAPS, TAPS)
    return kernel.shape == (4, 4) and torch.allclose(kernel.float() / kernel.sum(), expected)
