"""Shared by the benchmarks: time a call with `torch.utils.benchmark`, print it, keep it as JSON."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils import benchmark

from anonlab.files import write_json
from anonlab.notebook.provenance import provenance

OUT = Path("outputs/bench")
Work = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """Something to be timed. `prepare` gets the loaded parts and returns the call itself."""

    group: str
    name: str
    prepare: Callable[[Any], Work]
    images: int = 1  # pictures or faces that one call handles

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.group:12} {self.name}" + f" × {self.images}" * (self.images > 1)


def timed(work: Work, min_seconds: float) -> dict:
    """Compute median and interquartile range of the seconds of a call, over at least `min_seconds`.

    What is slower than that is called twice, once to warm up.
    """
    threads = torch.get_num_threads()  # the timer's default is one
    timer = benchmark.Timer("work()", globals={"work": work}, num_threads=threads)
    found = timer.blocked_autorange(min_run_time=min_seconds)
    return {"seconds": found.median, "iqr": found.iqr, "calls": found.number_per_run * len(found.times)}


def run(
    cases: Iterable[Case], parts: Any, min_seconds: float, path: Path, device: torch.device, **settings
) -> int:
    """Time every case into a table on the screen and into the JSON `path`; the exit status.

    A case that fails has an `error` instead of numbers, and the others go on. The file is written
    at once and after every case: what was measured survives an interruption.
    """
    rows: list[dict] = []
    settings |= {"min_seconds": min_seconds}
    result = {"provenance": provenance(device), "settings": settings}
    write_json(path, result | {"rows": rows})
    for case in cases:
        row = {"group": case.group, "name": case.name, "images": case.images}
        try:
            row |= timed(case.prepare(parts), min_seconds)
            row["seconds_per_image"] = row["seconds"] / case.images
            line = f"{row['seconds_per_image']:10.4f} s ± {row['iqr'] / case.images:.4f}"
        except Exception as error:  # out of memory, no compiler: this case's failure, not the run's
            row["error"] = f"{type(error).__name__}: {error}"
            line = f"failed ({row['error']})"
        rows.append(row)
        print(f"{case.title:64} {line}", flush=True)
        write_json(path, result | {"rows": rows})
    print(f"written to {path}")
    return int(any("error" in row for row in rows))


def has_compiler() -> bool:
    """Tell whether there is a C++ compiler, which `torch.compile` needs."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None
