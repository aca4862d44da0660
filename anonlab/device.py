"""Where tensors live, the CPU or CUDA, and how many cores there are for them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from .errors import DeviceUnavailable, check_choice


def pick_device(name: str) -> torch.device:
    """Choose a device, `auto` is CUDA if any. Raises `DeviceUnavailable` or `UnknownOption`."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_choice("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("this machine has no CUDA device that torch can use; choose cpu")
    return torch.device(name)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads in this thread, in a `with` or a decorated function. One is
    fastest for many small steps: waking a second thread for each takes longer than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def all_cores() -> contextlib.AbstractContextManager[None]:
    """Let torch compute with all cores in this thread, though it is one of several, or with as many as
    `OMP_NUM_THREADS` says, which Ray's workers have: a long computation is over sooner, and the same
    whatever is done beside it."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # "4,2" is for nested loops, too
    return torch_threads((int(given) if given.isdecimal() else 0) or cores())


def cores() -> int:
    """Count the CPU cores that this process may use: fewer than the machine has where it is held to
    some, for instance by `taskset` or a container's cpuset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
