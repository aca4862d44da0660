"""OpenVINO, imported without its telemetry, and its networks for callers in several threads.

`import openvino` reports itself to Google Analytics and leaves an identifier in the home folder, unless
its helper package is absent. So that package is hidden while OpenVINO is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from queue import LifoQueue
from types import ModuleType
from typing import Any

import numpy as np
import torch

from .device import cores

TELEMETRY = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """Import the module `openvino`. Raises `ImportError` where it is not installed or does not fit."""
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]  # so that its import fails
    try:
        return importlib.import_module("openvino")
    finally:
        if sys.modules[TELEMETRY] is None:
            del sys.modules[TELEMETRY]


@lru_cache
def cpu_precisions() -> tuple[str, ...]:
    """List what OpenVINO can compute with here: `f32`, and on some CPUs `bf16`, which is tried: it is
    offered also where instructions are held back (`ONEDNN_MAX_CPU_ISA`)."""
    ov = import_openvino()
    if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return ("f32",)
    row = np.ones((1, 64), np.float32)
    given = ov.opset13.parameter(row.shape, np.float32)
    product = ov.opset13.matmul(given, np.ones((64, 64), np.float32), False, True)
    try:
        compiled(ov.Model([product], [given], "product"), 1, "bf16")([row])
    except RuntimeError:
        return ("f32",)
    return ("f32", "bf16")


def roughly(device: torch.device) -> torch.autocast:
    """Let torch compute in bfloat16 within a `with`, on a CPU that has it: half the time, for what is
    read or ranked and not shown."""
    fast = device.type == "cpu" and "bf16" in cpu_precisions()
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def compiled(model: Any, threads: int, precision: str = "f32", **options: object) -> Any:
    """Compile an `openvino.Model` for the CPU, in float32 unless asked for otherwise."""
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    return import_openvino().Core().compile_model(model, "CPU", hints | options)


CORES = 2  # of the machine's, for each network of a kind that answers at a time


class Networks:
    """Compiled networks of the kinds that `model(kind)` describes, as `openvino.Model`s.

    A compiled network answers one question at a time, with as many threads as torch has, and keeps its
    memory. So idle ones are used again, and of a kind there is at most one for every `CORES` cores.
    """

    def __init__(self, model: Callable[[int], Any]):
        self.model = model
        self._idle: dict[tuple[int, str, int], LifoQueue[Any]] = {}  # None: to be compiled
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def acquire(self, kind: int, precision: str = "f32") -> Iterator[Any]:
        """Lend a network for one question, as soon as one is free."""
        key = kind, precision, torch.get_num_threads()
        with self._lock:
            self._idle = {one: idle for one, idle in self._idle.items() if one[2] == key[2]}
            if key not in self._idle:
                self._idle[key] = LifoQueue()
                for _ in range(max(1, cores() // CORES)):
                    self._idle[key].put(None)
            idle = self._idle[key]
        network = idle.get()
        try:
            if network is None:
                network = compiled(
                    self.model(kind), key[2], precision,
                    PERFORMANCE_HINT="LATENCY",
                    ENABLE_CPU_PINNING=False,  # else two networks of one thread share a core
                )  # fmt: skip
            yield network
        finally:
            idle.put(network)

    def clear(self) -> None:
        """Give the memory of idle networks back; the next question compiles one again."""
        with self._lock:
            self._idle.clear()
