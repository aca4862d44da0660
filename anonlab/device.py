"""Where tensors live, the CPU or CUDA, and how many cores there are for them."""

from __future__ import annotations

import os

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


def cores() -> int:
    """Count the CPU cores that this process may use: fewer than the machine has where it is held to
    some, for instance by `taskset` or a container's cpuset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
