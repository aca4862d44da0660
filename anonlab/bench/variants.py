"""Ways to make pictures from codes: generators, backends, layouts. Each is one line here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..generators import Generator, find_stylegan2, load_generator
from ..generators.openvino_runtime import cpu_precisions

REFERENCE = "torch, contiguous"
HALF = 4  # of a StyleGAN2's largest sizes in float16, as NVIDIA runs it


@dataclass(frozen=True)
class Variant:
    """One way to make pictures from codes."""

    load: Callable[[torch.device], Generator]
    devices: tuple[str, ...] = ("cpu", "cuda")
    precision: str = ""  # that OpenVINO must have; "" for variants without OpenVINO
    batches: bool = False  # also timed for several batch sizes
    resolutions: tuple[int, ...] = (256, 512, 1024)  # what it can be asked for
    compiles: bool = False  # needs a C++ compiler and up to a minute; not in a quick run
    reference: str = REFERENCE  # the variant of the same network that pixels are compared with


def _torch(device: torch.device, memory_format: torch.memory_format) -> Generator:
    model = load_generator("mobile", device=device, backend="torch")
    return model.to(memory_format=memory_format)


def _openvino(device: torch.device, precision: str) -> Generator:
    model = load_generator("mobile", device=device, backend="openvino")
    model.precision = precision
    return model


def has_compiler() -> bool:
    """Whether there is a C++ compiler, which `torch.compile` needs."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def compiled(model: Generator) -> Generator:
    """The same, its `synthesis` through `torch.compile`."""
    model.synthesis = torch.compile(model.synthesis)
    return model


VARIANTS: dict[str, Variant] = {
    REFERENCE: Variant(lambda device: _torch(device, torch.contiguous_format)),
    "torch, channels_last": Variant(lambda device: _torch(device, torch.channels_last), batches=True),
    "torch.compile": Variant(
        lambda device: compiled(_torch(device, torch.channels_last)), compiles=True
    ),
    "OpenVINO f32": Variant(lambda device: _openvino(device, "f32"), ("cpu",), "f32", batches=True),
    "OpenVINO bf16": Variant(lambda device: _openvino(device, "bf16"), ("cpu",), "bf16"),
}


def stylegan2_variants(path: str | os.PathLike | None = None) -> dict[str, Variant]:
    """Those of a StyleGAN2: of a file, or of the one that was downloaded; none without either.

    The file is read once to learn its sizes. Pictures smaller than native are exact means, as the
    pipeline asks for them. Raises as `load_generator`.
    """
    found = find_stylegan2(path)
    if found is None:
        return {}

    def load(device: torch.device, half: int = 0, channels_last: bool = True) -> Generator:
        return load_generator("stylegan2", path or None, device, half, channels_last)

    def variant(load: Callable[[torch.device], Generator], *devices: str, **more: bool):
        sizes, same = found.resolutions, f"{name}, contiguous"
        return Variant(load, devices or ("cpu", "cuda"), resolutions=sizes, reference=same, **more)

    name = "StyleGAN2"
    return {
        f"{name}, contiguous": variant(lambda device: load(device, channels_last=False)),
        f"{name}, channels_last": variant(load, batches=True),
        f"{name}, float16": variant(lambda device: load(device, HALF), "cuda", batches=True),
        f"{name}, torch.compile": variant(lambda device: compiled(load(device)), compiles=True),
    }


def variants(device: torch.device, more: dict[str, Variant] | None = None) -> dict[str, Variant]:
    """Those of the embedded generator, and `more`, that work on this device and machine."""
    here = ("", *cpu_precisions())
    return {
        name: one
        for name, one in (VARIANTS | (more or {})).items()
        if device.type in one.devices and one.precision in here and (not one.compiles or has_compiler())
    }
