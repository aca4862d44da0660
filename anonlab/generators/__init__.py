"""Pretrained face generators behind one protocol."""

from __future__ import annotations

import torch

from .. import weights
from ..errors import DeviceUnavailable, UnknownOption
from .base import Generator
from .mobile_stylegan import MobileStyleGAN, read_openvino
from .openvino_mobile import OpenVINOMobileStyleGAN
from .openvino_runtime import openvino_problem

__all__ = ["BACKENDS", "GENERATORS", "Generator", "MobileStyleGAN", "load_generator"]

GENERATORS = ("mobile",)
BACKENDS = ("auto", "torch", "openvino")


def load_generator(
    name: str = "mobile", device: torch.device | str = "cpu", backend: str = "auto"
) -> Generator:
    """A pretrained generator by name, frozen, ready for `mapping` and `synthesis`.

    `backend` is what makes pictures that need no gradient: `torch`, `openvino` (CPU only), or
    `auto`, OpenVINO on a CPU where it works. Gradients are always torch's. Raises `UnknownOption`,
    `DeviceUnavailable`, `WeightsMissing` or `WeightsCorrupt`.
    """
    if name not in GENERATORS:
        raise UnknownOption(f"generator {name!r} does not exist; choose from: {', '.join(GENERATORS)}")
    keys = [key for key in weights.WEIGHTS if key.startswith("mobile-")]

    def read() -> dict[str, torch.Tensor]:
        return read_openvino(weights.path_of("mobile-mapping").parent)

    on_cpu = torch.device(device).type == "cpu"
    model = OpenVINOMobileStyleGAN() if _by_openvino(backend, on_cpu) else MobileStyleGAN()
    model.load_state_dict(weights.converted("mobile-stylegan", keys, read))
    # Faster on CPUs, no slower on GPUs.
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def _by_openvino(backend: str, on_cpu: bool) -> bool:
    """Whether pictures are made by OpenVINO."""
    if backend not in BACKENDS:
        raise UnknownOption(f"backend {backend!r} does not exist; choose from: {', '.join(BACKENDS)}")
    if backend == "torch" or (backend == "auto" and not on_cpu):
        return False
    problem = openvino_problem() if on_cpu else "it runs on CPUs only"
    if problem and backend == "openvino":
        raise DeviceUnavailable(
            f"OpenVINO cannot make pictures here ({problem}); load the generator with backend torch"
        )
    return not problem
