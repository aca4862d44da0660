"""Read pickles of NVIDIA's StyleGAN repositories, and files of torch.save, without running them.

NVIDIA's pickles hold the source code of their classes and ask the reader to execute it. Here every
global that a file names is looked up in one short table; what comes out is tensors, plain containers
and `SavedModule`s, and a name that is not in the table is refused before it is used.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import WeightsCorrupt, WeightsMismatch


@dataclass(frozen=True)
class SavedModule:
    """A module of a pickle with all below it, as plain data with dotted names."""

    class_name: str
    tensors: dict[str, torch.Tensor]  # parameters and buffers
    settings: dict[str, object]  # its other attributes, where they are numbers, text or None


class Refused(pickle.UnpicklingError):
    """The file names something that is not in the table."""


class _Ignored:
    """Stands for what is not needed, such as numpy's numbers and the dtype of a statistic."""

    __slots__ = ()

    def __setstate__(self, _: object) -> None:
        pass


class _Function:
    """A function that a file may call, and may not change."""

    __slots__ = ("call",)

    def __init__(self, call: Callable):
        self.call = call

    def __call__(self, *arguments: object) -> object:
        return self.call(*arguments)

    def __setstate__(self, _: object) -> None:  # what a pickle's BUILD asks for
        raise Refused("a change to a function")


def _module(meta: dict) -> SavedModule:
    """Flatten a module; children come before their parents in a pickle, so they are flat already."""
    state = meta["state"]
    tensors = {
        name: tensor
        for kind in ("_parameters", "_buffers")
        for name, tensor in state.get(kind, {}).items()
        if isinstance(tensor, torch.Tensor)
    }
    plain = (bool, int, float, str, type(None))
    settings: dict[str, object] = {k: v for k, v in state.items() if isinstance(v, plain)}
    for name, child in state.get("_modules", {}).items():
        tensors |= {f"{name}.{inner}": tensor for inner, tensor in child.tensors.items()}
        settings |= {f"{name}.{inner}": value for inner, value in child.settings.items()}
    return SavedModule(str(meta["class_name"]), tensors, settings)


def _storage(blob: bytes) -> torch.Tensor:
    """Read the flat tensor of a storage, which is itself a file of torch.save."""
    storage = load_torch(io.BytesIO(blob))
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def _tensor(flat: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> torch.Tensor:
    view = flat.as_strided(tuple(size), tuple(stride), offset)  # checks the bounds
    if view.numel() > flat.numel():
        raise ValueError("a tensor is larger than what is stored of it")
    return view.clone()


def _text(text: str, encoding: str) -> bytes:
    """Read bytes as protocol 2 writes them."""
    if encoding != "latin1":
        raise Refused(f"text as {encoding}")
    return text.encode("latin1")


_IGNORE = _Function(lambda *_: _Ignored())

# Classes are those of Python itself, so that a pickle cannot change them.
_TABLE: dict[str, object] = {
    "collections.OrderedDict": OrderedDict,
    "dnnlib.util.EasyDict": dict,
    "torch.Size": tuple,
    "torch_utils.persistence._reconstruct_persistent_obj": _Function(_module),
    "torch.storage._load_from_bytes": _Function(_storage),
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_parameter": _Function(lambda tensor, *_: tensor),
    "_codecs.encode": _Function(_text),
    "torch.device": _IGNORE,
    "numpy.dtype": _IGNORE,
    "numpy.ndarray": "numpy.ndarray",
}
for _name, _builtin in {"set": set, "dict": dict, "list": list, "tuple": tuple}.items():
    _TABLE |= {f"builtins.{_name}": _builtin, f"__builtin__.{_name}": _builtin}
for _folder in ("numpy.core", "numpy._core"):
    _TABLE |= {f"{_folder}.multiarray.{_name}": _IGNORE for _name in ("scalar", "_reconstruct")}
for _name in ("float16", "float32", "float64", "int64", "uint8"):
    _TABLE[f"torch.{_name}"] = f"torch.{_name}"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """Look a global up in the table."""
        if f"{module}.{name}" not in _TABLE:
            raise Refused(f"{module}.{name}")
        return _TABLE[f"{module}.{name}"]

    def persistent_load(self, pid: object) -> object:
        raise Refused("objects outside the file")


def load_torch(file: BinaryIO) -> Any:
    """Read a file by torch's own restricted reader. Raises `Refused` with the global's name."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|operand)) ([\w.]+)", str(error))
        if named is None:
            raise
        raise Refused(named[1]) from None


def read_safely(path: Path, torch_file: bool) -> object:
    """Read the content of a pickle, or of a file of torch.save.

    Raises `WeightsMismatch` for one that names anything unknown, `WeightsCorrupt` for one that is
    truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            return load_torch(file) if torch_file else _Unpickler(file).load()
    except Refused as error:
        if str(error).startswith("dnnlib.tflib"):
            raise WeightsMismatch(
                f"{path} is a pickle of the TensorFlow era, of StyleGAN or StyleGAN2 ({error}); convert "
                f"a StyleGAN2 with legacy.py of NVIDIA's stylegan2-ada-pytorch first"
            ) from None
        raise WeightsMismatch(
            f"{path} was not loaded because it asks for {error}, which no StyleGAN2 needs, and nothing "
            f"in it was executed; get the file from its publisher, or keep only its tensors"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsCorrupt(f"{path} is truncated or damaged ({first_line}); copy it again") from None
