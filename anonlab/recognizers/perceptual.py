"""Perceptual distances. ST-LPIPS is embedded; LPIPS needs a download. Their numbers are not comparable.

ST-LPIPS: Ghildyal and Liu, ECCV 2022 (package `stlpips_pytorch`). LPIPS: Zhang et al., CVPR 2018
(package `lpips`).
"""

from __future__ import annotations

import contextlib
import importlib
import io
from functools import cached_property
from typing import Any

import torch

from ..weights import store


class PerceptualDistance:
    """How different two pictures look: 0 for the same, larger for more. Differentiable.

    The features of a fixed picture can be computed once and compared many times. The network is loaded
    when it is first asked: one pass of the encoder never does.
    """

    def __init__(self, name: str, device: torch.device | str, package: str, **options: str):
        self.name, self.device, self.package, self.options = name, device, package, options

    @cached_property
    def network(self) -> Any:
        """`package.LPIPS` on AlexNet with its weights, frozen."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            make = importlib.import_module(self.package).LPIPS
            network = make(net="alex", verbose=False, **self.options).eval().requires_grad_(False)
        return network.to(self.device, memory_format=torch.channels_last)  # a third less time on CPUs

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map `images (N, 3, H, W)` in [-1, 1] to unit-length features of each layer."""
        layers = [x.float() for x in self.network.net(self.network.scaling_layer(images))]
        return [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in layers]

    def compare(self, a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        """Compute the distance between two results of `features`, as `(N,)`."""
        pairs = zip(self.network.lins, a, b, strict=True)
        return sum(lin((x - y).square()).mean((1, 2, 3)) for lin, x, y in pairs)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Compute the distance between `a` and `b`, each `(N, 3, H, W)` in [-1, 1], as `(N,)`."""
        return self.compare(self.features(a), self.features(b))


def load_stlpips(device: torch.device | str = "cpu") -> PerceptualDistance:
    """Load ST-LPIPS on AlexNet, embedded. Raises `WeightsMissing` or `WeightsCorrupt`."""
    store.locate("stlpips-alex")
    package = "stlpips_pytorch.stlpips"
    return PerceptualDistance("ST-LPIPS (AlexNet)", device, package, variant="shift_tolerant")


def load_lpips(device: torch.device | str = "cpu") -> PerceptualDistance:
    """Load LPIPS on AlexNet. Raises `WeightsMissing` until its trunk has been downloaded by name."""
    store.locate("lpips-alex")
    return PerceptualDistance("LPIPS (AlexNet)", device, "lpips")
