"""A second device made of the CPU, to find out without a GPU whether tensors are where they must be.

Under `elsewhere()`, tensors on `DEVICE` are a wrapper around one of the CPU that says it is not there.
Every operation is done on the CPU, unless it mixes the two devices, which is what a GPU would refuse.
torch's device `meta` lends its name, because all others ask for a driver.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
ATEN = torch.ops.aten
MOVES = (ATEN._to_copy.default, ATEN.copy_.default)


class There(torch.Tensor):
    """A tensor on `DEVICE`; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> There:
        return torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(),
            dtype=here.dtype, device=DEVICE, requires_grad=here.requires_grad,
        )  # fmt: skip

    def __init__(self, here: torch.Tensor):
        self.here = here

    def __getitem__(self, at: Any) -> torch.Tensor:
        """Lists become tensors here: torch would make them on `meta`, where they are lost."""
        at = at if isinstance(at, tuple) else (at,)
        return super().__getitem__(
            tuple(torch.as_tensor(one) if isinstance(one, list | tuple) else one for one in at)
        )

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Mode(TorchDispatchMode):
    """For what makes tensors of nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def run(function: Any, args: tuple, kwargs: dict) -> Any:
    """The operation on the CPU. Raises `RuntimeError` where two devices meet, but for indices."""
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    there = any(isinstance(one, There) for one in tensors)
    if there and function not in MOVES and "index" not in function.__name__:
        strangers = [one for one in tensors if one.ndim and not isinstance(one, There)]
        if strangers:
            raise RuntimeError(f"{function} on two devices: {[tuple(one.shape) for one in tensors]}")
    target = kwargs.get("device")
    if target is not None:
        there = torch.device(target) == DEVICE
        kwargs = kwargs | {"device": torch.device("cpu")}
    here = lambda one: one.here if isinstance(one, There) else one  # noqa: E731
    own, options = tree_map(here, (args, kwargs))
    if function is ATEN.mv.default and own[0].ndim == 1:  # what torch makes of a dot product on `meta`
        function = ATEN.dot.default
    made = function(*own, **options)
    if function.__name__.partition(".")[0].endswith("_"):  # in place
        return args[0]
    return tree_map(lambda one: There(one) if there and isinstance(one, torch.Tensor) else one, made)


@contextlib.contextmanager
def elsewhere() -> Iterator[torch.device]:
    """`DEVICE`, on which tensors can live as long as this lasts."""
    constructor = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = constructor(data, **options)
        return made if device is None else made.to(device)

    torch.tensor = tensor
    try:
        with Mode():
            yield DEVICE
    finally:
        torch.tensor = constructor
