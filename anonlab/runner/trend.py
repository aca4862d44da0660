"""How a notebook's numbers moved over the runs that lie in an output folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..measured import SHOWN
from .regression import Accepted

RUN = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?")  # the time, and a number within a second
HEADLINES = 6  # metrics drawn for a notebook that doesn't say which


@dataclass(frozen=True)
class Past:
    """The runs of an output folder, oldest first, and how many of its folders are none."""

    runs: tuple[tuple[str, dict], ...]  # (folder name, what its metrics.json holds)
    skipped: int


@dataclass(frozen=True)
class Trend:
    """One metric over the runs, oldest first; None where a run did not measure it."""

    name: str
    runs: tuple[str, ...]
    values: tuple[float | None, ...]
    band: tuple[float, float] | None = None  # what the tolerance allows; None where nothing is judged

    @property
    def drawn(self) -> bool:
        """Whether there is more than one run."""
        return len(self.runs) > 1


def read_past(out: Path) -> Past:
    """All runs in `out`; folders that are damaged or foreign are counted, not complained about."""
    runs, skipped = [], 0
    for folder in sorted(out.iterdir(), key=_order):
        if not folder.is_dir():
            continue
        summary = _summary(folder)
        if summary is None:
            skipped += 1
        else:
            runs.append((folder.name, summary))
    return Past(tuple(runs), skipped)


def trends(
    past: Past,
    notebook: str,
    profile: str,
    parameters: dict,
    patterns: Iterable[str] = (),
    accepted: Accepted | None = None,
) -> list[Trend]:
    """The headline metrics of `notebook` over those runs that can be compared with one another.

    These have the same profile and parameters. `patterns` choose the metrics (in their order, by
    fnmatch); without any, the first six numbers that are not only shown. `accepted` gives the bands.
    """
    kept: list[tuple[str, dict[str, float]]] = []
    better: dict[str, str] = {}
    for name, summary in past.runs:
        one = summary["notebooks"].get(notebook)
        if not isinstance(one, dict) or one.get("status") != "ok" or summary.get("profile") != profile:
            continue
        if one.get("parameters") == parameters:
            kept.append((name, _numbers(one.get("metrics", {}))))
            better |= one.get("better", {})
    names = list(dict.fromkeys(name for _, numbers in reversed(kept) for name in numbers))
    if patterns:
        names = [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]
        names = list(dict.fromkeys(names))
    else:
        names = [name for name in names if better.get(name) != SHOWN][:HEADLINES]
    runs = tuple(run for run, _ in kept)
    return [
        Trend(name, runs, tuple(numbers.get(name) for _, numbers in kept), _band(name, accepted))
        for name in names
    ]


def _band(name: str, accepted: Accepted | None) -> tuple[float, float] | None:
    if accepted is None or not accepted.judged(name) or accepted.tolerance.get(name) is None:
        return None
    middle, allowed = accepted.metrics[name], accepted.tolerance[name]
    return middle - allowed, middle + allowed


def _numbers(metrics: dict) -> dict[str, float]:
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    # NaN is the one number that is not itself; it and the infinities cannot be drawn
    return {
        name: value
        for name, value in numbers.items()
        if not isinstance(value, bool) and abs(value) < float("inf")
    }


def _order(folder: Path) -> tuple[str, int]:
    time, _, number = (
        folder.name.rpartition("-") if folder.name.count("-") > 4 else (folder.name, "", "")
    )
    return time, int(number) if number.isdecimal() else 0


def _summary(folder: Path) -> dict | None:
    if not RUN.fullmatch(folder.name):
        return None
    try:
        summary = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(summary, dict) and isinstance(summary.get("notebooks"), dict)
    return summary if whole else None
