"""What each publisher calls the tensors of a StyleGAN2: one translation table each.

The original keeps weights at unit variance and scales them when it runs (equalised learning rates,
Karras et al. 2018); our network has them scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from .stylegan2 import StyleGAN2Config

MAPPING_RATE = 0.01  # the mapping network learns that much more slowly
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


@dataclass(frozen=True)
class Naming:
    """A publisher's names, by ours: of single tensors, of modules by number, and of what is in these."""

    publisher: str
    modules: Mapping[str, Callable[[int], str]]  # by the layer, the row of W+ or the level
    tensors: Mapping[str, str]  # where they differ; `{0}` is the module's name, `{1}` its number
    demodulated: bool  # whether 3×3 weights are unscaled: with demodulation only the epsilon is affected
    filters: str  # pattern of stored copies of the resampling filter

    def theirs(self, ours: str) -> str:
        """Translate one of our names, such as `convs.3.affine.weight`."""
        module, number, tensor = (*ours.split(".", 2), "", "")[:3]
        if not number:
            return self.tensors[ours]
        name = self.tensors.get(f"{module}.{tensor}", f"{{0}}.{tensor}")
        return name.format(self.modules[module](int(number)), number)

    def factor(self, ours: str, shape: torch.Size) -> float:
        """Compute what a tensor of theirs, of our name and `shape`, is multiplied by."""
        rate = MAPPING_RATE if ours.startswith("mapping") else 1.0
        if not ours.endswith("weight") or (self.demodulated and len(shape) == 4 and shape[-1] == 3):
            return rate
        return rate / shape[1:].numel() ** 0.5

    def config(self, tensors: Mapping[str, torch.Tensor], clamp: float | None) -> StyleGAN2Config:
        """Infer the network that a file holds, from shapes. Raises `KeyError` with a missing name."""
        channels: list[int] = []
        while len(channels) < 2 or self.theirs(f"convs.{2 * len(channels)}.weight") in tensors:
            weight = tensors[self.theirs(f"convs.{2 * len(channels)}.weight")]
            channels.append(weight.shape[-4])
        layers = [tensors[self.theirs("mapping_layers.0.weight")]]
        while (name := self.theirs(f"mapping_layers.{len(layers)}.weight")) in tensors:
            layers.append(tensors[name])
        z_dim, w_dim, size = layers[0].shape[1], layers[-1].shape[0], 2 * 2 ** len(channels)
        return StyleGAN2Config(size, tuple(channels), z_dim, w_dim, len(layers), clamp)


NAMINGS = (
    Naming(  # stylegan2-ada-pytorch
        "NVIDIA",
        {
            "mapping_layers": lambda layer: f"mapping.fc{layer}",
            "convs": lambda row: f"synthesis.b{4 * 2 ** ((row + 1) // 2)}.conv{(row + 1) % 2}",
            "to_rgbs": lambda level: f"synthesis.b{4 * 2**level}.torgb",
        },
        {"w_avg": "mapping.w_avg", "const": "synthesis.b4.const", "convs.noise": "{0}.noise_const"},
        demodulated=True,
        filters=r"synthesis\.b\d+\.(conv\d\.)?resample_filter",
    ),
    Naming(
        "rosinality",
        {
            "mapping_layers": lambda layer: f"style.{layer + 1}",
            "convs": lambda row: f"convs.{row - 1}" if row else "conv1",
            "to_rgbs": lambda level: f"to_rgbs.{level - 1}" if level else "to_rgb1",
        },
        {"w_avg": "latent_avg", "const": "input.input", "convs.noise": "noises.noise_{1}",
         "convs.noise_strength": "{0}.noise.weight", "convs.bias": "{0}.activate.bias"}
        | {f"{module}.affine.{tensor}": f"{{0}}.conv.modulation.{tensor}"
           for module in ("convs", "to_rgbs") for tensor in ("weight", "bias")}
        | {f"{module}.weight": "{0}.conv.weight" for module in ("convs", "to_rgbs")},
        demodulated=False,
        filters=r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel",
    ),
)  # fmt: skip


def is_filter(kernel: torch.Tensor) -> bool:
    """Tell whether it is the filter [1, 3, 3, 1] that our network has built in, at any gain."""
    expected = torch.outer(TAPS, TAPS)
    return kernel.shape == (4, 4) and torch.allclose(kernel.float() / kernel.sum(), expected)
