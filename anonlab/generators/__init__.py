"""Pretrained face generators behind one base class."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..errors import UnknownOption, check_choice
from ..images import FACE_SIZE
from ..weights import store
from .base import Generator as Generator
from .mobile_stylegan import MobileStyleGAN, read_openvino
from .openvino_mobile import OpenVINOMobileStyleGAN
from .stylegan2_files import load_stylegan2

GENERATORS = ("mobile", "stylegan2")
BACKENDS = ("auto", "torch")
OFFICIAL = ("stylegan2-ffhq-1024", "stylegan2-ffhq-256")


def load_generator(
    name: str = "mobile",
    path: str | os.PathLike | None = None,
    device: torch.device | str = "cpu",
    backend: str = "auto",
) -> Generator:
    """Load a pretrained generator by name, frozen, ready for `mapping` and `synthesis`.

    `path` is the weights file of a `stylegan2`; without one it is an official file that `doctor
    --download` has fetched. `backend` is what makes pictures of `mobile` that need no gradient: `torch`,
    or `auto`, OpenVINO on a CPU; gradients are always torch's. Raises `UnknownOption`, `WeightsMissing`,
    `WeightsCorrupt` or `WeightsMismatch`.
    """
    check_choice("generator", name, GENERATORS)
    check_choice("backend", backend, BACKENDS)
    if name == "mobile" and path is not None:
        raise UnknownOption(f"generator mobile has its own weights, not {path}; choose stylegan2")
    if name == "mobile":
        by_openvino = backend == "auto" and torch.device(device).type == "cpu"
        model: Any = OpenVINOMobileStyleGAN() if by_openvino else MobileStyleGAN()
        keys = [key for key in store.WEIGHTS if key.startswith("mobile-")]
        folder = store.path_of("mobile-mapping").parent
        model.load_state_dict(store.converted("mobile-stylegan", keys, partial(read_openvino, folder)))
    elif path is None:
        key = next(filter(store.find, OFFICIAL), OFFICIAL[0])
        model = load_stylegan2(store.locate(key))
    else:
        model = load_stylegan2(Path(path))
    # this layout is faster on CPUs and no slower on GPUs
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def find_stylegan2(
    path: str | os.PathLike | None = None, device: torch.device | str = "cpu"
) -> Generator | None:
    """Load the StyleGAN2 of a file, or without one (None or "") the official one that `doctor
    --download` has fetched, if there is one. Raises as `load_generator`."""
    if not path and not any(map(store.find, OFFICIAL)):
        return None
    return load_generator("stylegan2", path or None, device)


def require_preview(generator: Generator) -> Generator:
    """Return the same generator. Raises `UnknownOption` if its pictures are smaller than 256 px, at
    which stages 2 and 3 work."""
    if FACE_SIZE not in generator.resolutions:
        raise UnknownOption(
            f"generator {generator.name} makes pictures of {generator.img_resolution} px, but it takes "
            f"{FACE_SIZE} or more to anonymize; choose another file of weights"
        )
    return generator
