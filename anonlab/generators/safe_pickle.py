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
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, BinaryIO

import torch

from ..errors import WeightsCorrupt, WeightsMismatch


@dataclass(frozen=True)
class SavedModule:
    """A module of a pickle with all below it, as plain data with dotted names."""

    tensors: dict[str, torch.Tensor]  # parameters and buffers
    clamps: list[float]  # of activations, where its layers have one


class Refused(pickle.UnpicklingError):
    """The file names something that is not in the table."""


class _Ignored:
    """Stands for what is not needed, such as numpy's numbers and the dtype of a statistic."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _module(meta: dict) -> SavedModule:
    """Flatten a module; children come before their parents in a pickle, so they are flat already."""
    state = meta["state"]
    own = {**state.get("_parameters", {}), **state.get("_buffers", {})}
    tensors = {name: tensor for name, tensor in own.items() if isinstance(tensor, torch.Tensor)}
    clamp = state.get("conv_clamp")
    clamps = [float(clamp)] if isinstance(clamp, (int, float)) else []
    for name, child in state.get("_modules", {}).items():
        tensors |= {f"{name}.{inner}": tensor for inner, tensor in child.tensors.items()}
        clamps += child.clamps
    return SavedModule(tensors, clamps)


def _storage(blob: bytes) -> torch.Tensor:
    """Read the flat tensor of a storage, which is itself a file of torch.save."""
    storage = _load_torch(io.BytesIO(blob))
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


BUILTINS = ("builtins", "__builtin__")
IGNORED = (
    *(f"torch.{name}" for name in ("device", "float16", "float32", "float64", "int64", "uint8")),
    *("numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
)
# Classes are those of Python itself, so that a pickle cannot change them.
_TABLE: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "dnnlib.util.EasyDict": dict,
    "torch.Size": tuple,
    "torch_utils.persistence._reconstruct_persistent_obj": _module,
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "_codecs.encode": _text,
    **{f"{room}.{one.__name__}": one for room in BUILTINS for one in (set, dict, list, tuple)},
    **dict.fromkeys(IGNORED, _Ignored),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look a global up in the table."""
        if f"{module}.{name}" not in _TABLE:
            raise Refused(f"{module}.{name}")
        found = _TABLE[f"{module}.{name}"]
        # a new one each time, because a pickle can ask for changes to what it gets
        return (lambda *given: found(*given)) if isinstance(found, FunctionType) else found


def _load_torch(file: BinaryIO) -> Any:
    """Read a file by torch's own restricted reader. Raises `Refused` with the global's name."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|operand)) ([\w.]+)", str(error))
        raise Refused(named[1]) if named else error from None


def read_safely(path: Path, torch_file: bool) -> object:
    """Read the content of a pickle, or of a file of torch.save.

    Raises `WeightsMismatch` for one that names anything unknown, `WeightsCorrupt` for one that is
    truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            return _load_torch(file) if torch_file else _Unpickler(file).load()
    except Refused as error:
        remedy = "get the file from its publisher, or keep only its tensors"
        if str(error).startswith("dnnlib.tflib"):
            remedy = "it is of the TensorFlow era, so convert it with legacy.py of stylegan2-ada-pytorch"
        raise WeightsMismatch(
            f"{path} was not loaded because it asks for {error}, which no StyleGAN2 needs, and nothing "
            f"in it was executed; {remedy}"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        first_line = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsCorrupt(f"{path} is truncated or damaged ({first_line}); copy it again") from None
