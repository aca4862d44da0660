"""Pretrained face generators behind one protocol."""

from __future__ import annotations

import torch

from .. import weights
from ..errors import UnknownOption
from .base import Generator
from .mobile_stylegan import MobileStyleGAN, read_openvino

__all__ = ["GENERATORS", "Generator", "MobileStyleGAN", "load_generator"]

GENERATORS = ("mobile",)


def load_generator(name: str = "mobile", device: torch.device | str = "cpu") -> Generator:
    """A pretrained generator by name, frozen, ready for `mapping` and `synthesis`.

    Raises `UnknownOption`, `WeightsMissing` or `WeightsCorrupt`.
    """
    if name not in GENERATORS:
        raise UnknownOption(f"generator {name!r} does not exist; choose from: {', '.join(GENERATORS)}")
    keys = [key for key in weights.WEIGHTS if key.startswith("mobile-")]

    def read() -> dict[str, torch.Tensor]:
        return read_openvino(weights.path_of("mobile-mapping").parent)

    model = MobileStyleGAN()
    model.load_state_dict(weights.converted("mobile-stylegan", keys, read))
    # Faster on CPUs, no slower on GPUs.
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
