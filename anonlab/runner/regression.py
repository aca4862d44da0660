"""A run's numbers against those that were accepted: what is worse fails, by more than chance allows.

A baseline holds the numbers of an accepted run and, for each, how far a later one may be off. That
tolerance is measured, by repeating a notebook with other seeds. Which way is worse is read from a
metric's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean, stdev

from ..errors import DamagedBaseline
from ..files import write_json

SPREAD = 3  # a tolerance in sample standard deviations over the seeds
# Where nothing varied with the seed (or there was one): this share of the value. Another CPU rounds
# another way: a grey level here and there, hence a landmark by a pixel, a per cent of a small number.
FLOOR = 0.02
MISSING = "missing"  # what is shown where there is no number
UNJUDGED = ("*seconds", "*minutes", "*_mib", "*_gib")  # they belong to the machine
SHARES = (
    "*rate*",
    "*linkage*",
    "*protection*",
    "*detect*",
    "*kept*",
    "*precision*",
    "*recall*",
)  # of `n` cases
DIRECTIONS = {  # the first pattern that fits a part of the name, last part first, says what is better
    "*threshold*": "same",
    "*fingerprint*": "same",
    "*reached*": "same",
    "*miss*": "lower",
    "*match_rate*": "lower",
    "*matched*": "lower",
    "*linkage*": "lower",
    "distance": "higher",  # to the person
    "distance_*": "higher",
    "*deletion*": "higher",  # distance when what a map found is hidden, ...
    "*insertion*": "lower",  # ... and when only that is shown
    "*stability*": "higher",
    "*auc*": "lower",  # the attacker's
    "*eer*": "higher",  # the attacker's errors
    "*protection*": "higher",
    "*collapse_ratio*": "higher",
    "*lpips*": "lower",  # ST-LPIPS as well
    "*perceptual*": "lower",
    "latent_*": "lower",  # a training loss
    "*ssim*": "higher",
    "*psnr*": "higher",
    "*detect*": "higher",
    "*landmark_error*": "lower",
    "*age_error*": "lower",
    "*_difference": "lower",
    "*kept*": "higher",
    "*frechet*": "lower",
    "*precision*": "higher",
    "*recall*": "higher",
}
WORDS = {"lower": "lower is better", "higher": "higher is better", "same": "must stay the same"}
VERDICTS = ("failed", "better", "new", "ok", "shown")  # in the order a reader wants them


@dataclass(frozen=True)
class Baseline:
    """The accepted numbers of one notebook in one profile."""

    provenance: dict
    parameters: dict  # those of the notebook, without its output folder
    seeds: list[int]
    metrics: dict[str, object]  # flat; the mean where there are several seeds
    tolerance: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One metric: accepted, now, and what to make of it (one of `VERDICTS`)."""

    name: str
    accepted: object
    now: object
    tolerance: float
    verdict: str

    @property
    def cannot_fail(self) -> bool:
        """Whether the tolerance is as large as the number itself, so that it proves nothing."""
        if self.verdict == "shown" or not _is_number(self.accepted):
            return False
        return self.tolerance >= abs(self.accepted) > 0

    def __str__(self) -> str:
        return (
            f"{self.name}: accepted {shown(self.accepted)}, now {shown(self.now)}, "
            f"tolerance {shown(self.tolerance)} ({WORDS[direction(self.name)]})"
        )


@dataclass(frozen=True)
class Comparison:
    """All metrics of a notebook, failures first; empty when its parameters are not comparable."""

    rows: tuple[Row, ...]
    differing: tuple[str, ...] = ()  # parameters that are not those of the baseline

    def named(self, verdict: str) -> list[Row]:
        """The rows with this verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def cannot_fail(self) -> list[str]:
        """Metrics whose tolerance is too wide to prove anything."""
        return [row.name for row in self.rows if row.cannot_fail]


def flatten(metrics: object, name: str = "") -> dict[str, object]:
    """Nested dicts and lists as one flat dict, its names joined with `/`."""
    if isinstance(metrics, dict):
        parts: Iterable = metrics.items()
    elif isinstance(metrics, list):
        parts = enumerate(metrics)
    else:
        return {name: metrics}
    flat: dict[str, object] = {}
    for key, value in parts:
        flat |= flatten(value, f"{name}/{key}" if name else str(key))
    return flat


def direction(name: str) -> str:
    """`lower` or `higher`, whichever is better, or `same`: no change is welcome."""
    for part in reversed(name.lower().split("/")):
        for pattern, better in DIRECTIONS.items():
            if fnmatchcase(part, pattern):
                return better
    return "same"


def judged(name: str, ignore: Iterable[str] = ()) -> bool:
    """Whether a metric is held to its baseline: not times, not memory, nothing in `ignore`.

    The patterns of `ignore` are matched with the whole name, and with each part of it.
    """
    parts = name.split("/")
    return not any(
        fnmatchcase(text, pattern) for pattern in (*UNJUDGED, *ignore) for text in (name, *parts)
    )


def tolerance(values: list[float], cases: int | None = None) -> float:
    """How far a number may be off: 3 sample standard deviations of `values`, one a seed.

    Where they do not vary, a fiftieth of the number (nothing, if it is a whole number); for a share
    of `cases`, never less than one of them.
    """
    allowed = SPREAD * stdev(values) if len(values) > 1 else 0.0
    if not allowed and not all(isinstance(value, int) for value in values):
        allowed = FLOOR * abs(fmean(values))
    return max(allowed, 1 / cases if cases else 0.0)


def judge(name: str, accepted: object, now: object, allowed: float) -> str:
    """`ok`, `better` or `failed`. What is not a finite number has to be equal (NaN equals NaN)."""
    if not (_is_number(accepted) and _is_number(now)):
        return "ok" if _equal(accepted, now) else "failed"
    change = now - accepted
    if abs(change) <= allowed:
        return "ok"
    good = {"lower": change < 0, "higher": change > 0, "same": False}
    return "better" if good[direction(name)] else "failed"


def compare(
    baseline: Baseline, metrics: dict, parameters: dict, ignore: Iterable[str] = ()
) -> Comparison:
    """Judge the `metrics` a notebook recorded when run with `parameters`.

    With other parameters than the baseline's nothing is judged, and `differing` names them. A
    baseline of several seeds holds for any seed.
    """
    differing = _differing(baseline, parameters)
    if differing:
        return Comparison((), differing)
    now, rows = flatten(metrics), []
    for name, accepted in baseline.metrics.items():
        allowed = baseline.tolerance.get(name, 0.0)
        if not judged(name, ignore):
            verdict = "shown"
        elif name not in now:
            verdict = "failed"
        else:
            verdict = judge(name, accepted, now[name], allowed)
        rows.append(Row(name, accepted, now.get(name, MISSING), allowed, verdict))
    for name in now.keys() - baseline.metrics.keys():
        verdict = "new" if judged(name, ignore) else "shown"
        rows.append(Row(name, MISSING, now[name], 0.0, verdict))
    rows.sort(key=lambda row: (VERDICTS.index(row.verdict), row.name))
    return Comparison(tuple(rows))


def accept(
    runs: list[dict],
    seeds: list[int],
    parameters: dict,
    provenance: dict,
    old: Baseline | None = None,
    ignore: Iterable[str] = (),
) -> Baseline:
    """The baseline that the metrics of `runs` make, one run a seed.

    A single run tells nothing about chance: it keeps the tolerances of `old`. What is not a number
    is only accepted where all seeds agree on it.
    """
    flat = [flatten(one) for one in runs]
    metrics, allowed = {}, {}
    for name, first in flat[0].items():
        values = [one.get(name, MISSING) for one in flat]
        if all(_is_number(value) for value in values):
            metrics[name] = first if all(value == first for value in values) else fmean(values)
            if judged(name, ignore):
                allowed[name] = tolerance(values, _cases(name, flat[0]))
        elif all(_equal(value, first) for value in values):
            metrics[name] = first
    if old and len(runs) == 1:
        allowed = {name: old.tolerance.get(name, least) for name, least in allowed.items()}
    return Baseline(provenance, parameters, list(seeds), metrics, allowed)


def difference(old: Baseline | None, new: Baseline, ignore: Iterable[str] = ()) -> list[str]:
    """What accepting `new` changes, one line a metric; nothing of what isn't judged."""
    if old is None:
        return [f"accepted for the first time: {len(new.metrics)} metrics"]
    lines = []
    for kind in ("parameters", "metrics", "tolerance"):
        before, after = getattr(old, kind), getattr(new, kind)
        for name in [*before, *(name for name in after if name not in before)]:
            was, is_ = before.get(name, MISSING), after.get(name, MISSING)
            if not _equal(was, is_) and (kind == "parameters" or judged(name, ignore)):
                label = name if kind == "metrics" else f"{kind} {name}"
                lines.append(f"{label}: {shown(was)} → {shown(is_)}")
    return lines or ["no change"]


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in `path`; None when there is no such file. Raises `DamagedBaseline`."""
    if not path.is_file():
        return None
    try:
        baseline = Baseline(**json.loads(path.read_text()))
        for name in ("provenance", "parameters", "metrics", "tolerance"):
            if not isinstance(getattr(baseline, name), dict):
                raise TypeError(f"{name} is no object")
        return baseline
    except (ValueError, TypeError) as error:
        raise DamagedBaseline(
            f"{path} is not a baseline ({error}); restore it, or delete it and run with --accept"
        ) from None


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write `baseline` as JSON, at once or not at all. Raises `OutputNotWritable`."""
    write_json(path, asdict(baseline))


def shown(value: object) -> str:
    """A value as a reader wants it: six digits are more than any tolerance sees."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _differing(baseline: Baseline, parameters: dict) -> tuple[str, ...]:
    names = baseline.parameters.keys() | parameters.keys()
    if len(baseline.seeds) > 1:
        names -= {"SEED"}
    return tuple(
        sorted(
            name
            for name in names
            if baseline.parameters.get(name, MISSING) != parameters.get(name, MISSING)
        )
    )


def _cases(name: str, flat: dict[str, object]) -> int | None:
    """How many cases a share is of: the whole number `n` beside it or above it."""
    if not any(fnmatchcase(part, pattern) for part in name.split("/") for pattern in SHARES):
        return None
    for parent in _parents(name):
        cases = flat.get(f"{parent}/n" if parent else "n")
        if _is_number(cases) and cases > 0:
            return cases
    return None


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition("/")[0]
        yield name


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return isinstance(one, bool) == isinstance(other, bool) and one == other
