"""Perceptual distances. ST-LPIPS is embedded; LPIPS needs a download. Never call one the other.

ST-LPIPS: Ghildyal and Liu, ECCV 2022 (package `stlpips_pytorch`). LPIPS: Zhang et al., CVPR 2018
(package `lpips`).
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from torch import nn

from ..weights import store


class PerceptualDistance(nn.Module):
    """How different two pictures look: 0 for the same, larger for more. Differentiable.

    The features of a fixed picture can be computed once and compared many times.
    """

    def __init__(self, network: nn.Module, name: str):
        super().__init__()
        self.network: Any = network
        self.name = name

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map `images (N, 3, H, W)` in [-1, 1] to unit-length features of each layer."""
        layers = [x.float() for x in self.network.net(self.network.scaling_layer(images))]
        return [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in layers]

    def compare(self, a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        """Compute the distance between two results of `features`, as `(N,)`."""
        pairs = zip(self.network.lins, a, b, strict=True)
        return sum(lin((x - y).square()).mean((1, 2, 3)) for lin, x, y in pairs)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Compute the distance between `a` and `b`, each `(N, 3, H, W)` in [-1, 1], as `(N,)`."""
        return self.compare(self.features(a), self.features(b))


def load_stlpips(device: torch.device | str = "cpu") -> PerceptualDistance:
    """Load ST-LPIPS on AlexNet, embedded. Raises `WeightsMissing` or `WeightsCorrupt`."""
    store.locate("stlpips-alex")
    from stlpips_pytorch import stlpips

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
        network = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    model = PerceptualDistance(network, "ST-LPIPS (AlexNet)")
    model = model.eval().requires_grad_(False).to(device)
    return model.to(memory_format=torch.channels_last)  # a third less time on CPUs


def load_lpips(device: torch.device | str = "cpu") -> PerceptualDistance:
    """Load LPIPS on AlexNet. Raises `WeightsMissing` until its trunk has been downloaded by name."""
    store.locate("lpips-alex")
    import lpips

    with contextlib.redirect_stdout(io.StringIO()):
        network = lpips.LPIPS(net="alex", verbose=False)
    model = PerceptualDistance(network, "LPIPS (AlexNet)")
    return model.eval().requires_grad_(False).to(device)
