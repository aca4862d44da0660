"""One measurement: a call is repeated, timed and watched for memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch

POLL = 0.002  # seconds between two looks at the process's memory
Work = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """Something to be timed. `prepare` gets the loaded parts and returns the call itself."""

    view: str  # the figure it is drawn in
    panel: str  # the plot in that figure
    series: str  # the line or bar in that plot
    x: float  # batch size, faces or megapixels: what the view's axis says
    images: int  # pictures or faces that one call handles
    prepare: Callable[[Any], Work]
    repeats: int | None = None  # where fewer than usual are enough
    check: Callable[[Any, Any], dict[str, float]] | None = None  # (parts, result) to more numbers

    @property
    def name(self) -> str:
        """What the progress bar and the table call it."""
        return f"{self.view} / {self.panel} / {self.series} / {self.x:g}"


class PeakMemory:
    """`with PeakMemory(device) as peak: …` — then `peak.growth` is in bytes.

    On CUDA what torch allocated beyond what it had; on a CPU how much the process's resident
    memory grew, looked at every 2 ms, after free memory was given back to the system. Where the
    system cannot take it back (not Linux) it is used again, and the numbers are lower bounds.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.growth = 0

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
            return self
        _give_back()
        self._process, self._done = psutil.Process(), threading.Event()
        self._before = self._peak = self._process.memory_info().rss
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self._peak = torch.cuda.max_memory_allocated(self.device)
        else:
            self._done.set()
            self._watcher.join()
            self._look()
        self.growth = max(0, self._peak - self._before)

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._done.wait(POLL):
            self._look()


def _give_back() -> None:
    """Return what was freed to the system; the C library would keep it for the next case."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc has it
        trim(0)


def measure(
    case: Case,
    parts: Any,
    repeats: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict:
    """Run a case once to warm up, where memory is watched, then `repeats` times against the clock.

    Returns a row of `bench.json`: the case's names, `seconds` a call (median, min, max),
    `images_per_second` of the median, `memory_mb`. What `prepare` does is not timed.
    """
    work = case.prepare(parts)
    repeats = min(repeats, case.repeats or repeats)
    with PeakMemory(device) as peak:
        result = work()
    more = case.check(parts, result) if case.check else {}
    del result
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(clock() - start)
    median = statistics.median(seconds)
    return {
        **describe(case),
        "repeats": repeats,
        "seconds": {"median": median, "min": min(seconds), "max": max(seconds)},
        "images_per_second": case.images / median,
        "memory_mb": round(peak.growth / 2**20, 1),
        **more,
    }


def describe(case: Case) -> dict:
    """The part of a row that names the case."""
    return {name: getattr(case, name) for name in ("view", "panel", "series", "x", "images")}
