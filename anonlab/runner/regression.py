"""A run's numbers against those that were accepted: what is worse fails, by more than chance allows.

Accepted is what one run recorded: each number with the way that is better (see `anonlab.measured`)
and how far a later one may be off. That tolerance is measured, by repeating a notebook with other
seeds. Where it is as large as the number itself it could not tell anything: there it is null, and
the number is shown and not judged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from ..errors import DamagedAccepted
from ..files import write_json
from ..measured import HIGHER, LOWER, SHOWN, WORDS, Measured, flatten, undeclared

SPREAD = 3  # a tolerance in sample standard deviations over the seeds
# Where nothing varied with the seed (or there was one): this share of the value. Another CPU rounds
# another way: a grey level here and there, hence a landmark by a pixel, a per cent of a small number.
FLOOR = 0.02
MISSING = "missing"  # what is shown where there is no number
VERDICTS = ("failed", "better", "new", "ok", "shown")  # in the order a reader wants them


@dataclass(frozen=True)
class Accepted:
    """The accepted numbers of one notebook in one profile."""

    provenance: dict
    parameters: dict  # those of the notebook, without the folders it writes to
    seeds: list[int]
    metrics: dict[str, object]  # flat; the mean where there are several seeds
    better: dict[str, str]  # of each metric: one of `anonlab.measured.WORDS`
    tolerance: dict[str, float | None]  # of each number that is judged; None: it cannot be

    def judged(self, name: str) -> bool:
        """Whether a later run can fail by this metric."""
        return self.better.get(name) != SHOWN and self.tolerance.get(name, 0.0) is not None


@dataclass(frozen=True)
class Row:
    """One metric: accepted, now, and what to make of it (one of `VERDICTS`)."""

    name: str
    accepted: object
    now: object
    tolerance: float | None
    better: str
    verdict: str

    @property
    def sigmas(self) -> float | None:
        """How far it moved, in standard deviations: a tolerance is three of them, measured or not.

        None where that means nothing: no number, or no deviation is allowed.
        """
        if not (_is_number(self.accepted) and _is_number(self.now) and self.tolerance):
            return None
        return (self.now - self.accepted) * SPREAD / self.tolerance

    @property
    def change(self) -> str:
        """`4 → 3 (−8 σ)`."""
        moved = "" if self.sigmas is None else f" ({round(self.sigmas, 1):+g} σ)".replace("-", "−")
        return f"{brief(self.accepted)} → {brief(self.now)}{moved}"

    def __str__(self) -> str:
        return (
            f"{self.name}: accepted {brief(self.accepted)}, now {brief(self.now)}, "
            f"tolerance {brief(self.tolerance)} ({WORDS[self.better]})"
        )


@dataclass(frozen=True)
class Comparison:
    """All metrics of a notebook, failures first; empty when its parameters are not comparable."""

    rows: tuple[Row, ...]
    differing: tuple[str, ...] = ()  # parameters that are not the accepted ones

    def named(self, verdict: str) -> list[Row]:
        """The rows with this verdict."""
        return [row for row in self.rows if row.verdict == verdict]


def tolerance(values: list[float], cases: int | None = None) -> float | None:
    """How far a number may be off: 3 sample standard deviations of `values`, one a seed.

    Where they do not vary, a fiftieth of the number (nothing, if it is a whole number); for a share
    of `cases`, never less than one of them. None when this is as large as the number (unless it is
    0, from which any number is far).
    """
    allowed = SPREAD * stdev(values) if len(values) > 1 else 0.0
    if not allowed and not all(isinstance(value, int) for value in values):
        allowed = FLOOR * abs(fmean(values))
    allowed = max(allowed, 1 / cases if cases else 0.0)
    return allowed if can_fail(fmean(values), allowed) else None


def can_fail(value: float, allowed: float) -> bool:
    """Whether a tolerance is smaller than its number, so that keeping to it says something."""
    return value == 0 or allowed < abs(value)


def judge(better: str, accepted: object, now: object, allowed: float) -> str:
    """`ok`, `better` or `failed`. What is not a finite number has to be equal (NaN equals NaN)."""
    if not (_is_number(accepted) and _is_number(now)):
        return "ok" if _equal(accepted, now) else "failed"
    change = now - accepted
    if abs(change) <= allowed:
        return "ok"
    good = {LOWER: change < 0, HIGHER: change > 0}
    return "better" if good.get(better, False) else "failed"


def compare(accepted: Accepted, metrics: dict, parameters: dict) -> Comparison:
    """Judge the `metrics` a notebook recorded (leaves are `Measured`) when run with `parameters`.

    With other parameters than the accepted ones nothing is judged, and `differing` names them. What
    several seeds made holds for any seed. A metric that now claims another way to be better fails:
    that has to be accepted like a number. Raises `UndeclaredMetric`.
    """
    now = flatten(metrics)
    differing = _differing(accepted, parameters)
    if differing:
        return Comparison((), differing)
    rows = []
    for name, was in accepted.metrics.items():
        if name not in accepted.better:
            raise undeclared(name)
        allowed, better = accepted.tolerance.get(name, 0.0), accepted.better[name]
        if not accepted.judged(name):
            verdict = "shown"
        elif name not in now or now[name].better != better:
            verdict = "failed"
        else:
            verdict = judge(better, was, now[name].value, allowed)
        value = now[name].value if name in now else MISSING
        rows.append(Row(name, was, value, allowed, better, verdict))
    for name in now.keys() - accepted.metrics.keys():
        verdict = "shown" if now[name].better == SHOWN else "new"
        rows.append(Row(name, MISSING, now[name].value, None, now[name].better, verdict))
    rows.sort(key=lambda row: (VERDICTS.index(row.verdict), row.name))
    return Comparison(tuple(rows))


def accept(
    runs: list[dict],
    seeds: list[int],
    parameters: dict,
    provenance: dict,
    old: Accepted | None = None,
) -> Accepted:
    """What the metrics of `runs` make when they are accepted, one run a seed.

    A single run tells nothing about chance: it keeps the tolerances of `old`. What is not a number
    is only accepted where all seeds agree on it. Raises `UndeclaredMetric`.
    """
    flat = [flatten(one) for one in runs]
    metrics, better, allowed = {}, {}, {}
    for name, first in flat[0].items():
        values = [one[name].value if name in one else MISSING for one in flat]
        numbers = all(_is_number(value) for value in values)
        same = all(_equal(value, first.value) for value in values)
        if not numbers and not same:
            continue
        metrics[name] = first.value if same else fmean(values)
        better[name] = first.better
        if numbers and first.better != SHOWN:
            allowed[name] = _allowed(name, values, first, old if len(runs) == 1 else None)
    return Accepted(provenance, parameters, list(seeds), metrics, better, allowed)


def _allowed(name: str, values: list[float], one: Measured, old: Accepted | None) -> float | None:
    if old is None or name not in old.tolerance:
        return tolerance(values, one.cases)
    kept = old.tolerance[name]
    return kept if kept is not None and can_fail(values[0], kept) else None


def difference(old: Accepted | None, new: Accepted) -> list[str]:
    """What accepting `new` changes, one line a metric; nothing of what isn't judged."""
    if old is None:
        return [f"accepted for the first time: {len(new.metrics)} metrics"]
    lines = []
    for kind in ("parameters", "metrics", "better", "tolerance"):
        before, after = getattr(old, kind), getattr(new, kind)
        for name in [*before, *(name for name in after if name not in before)]:
            was, is_ = before.get(name, MISSING), after.get(name, MISSING)
            judged = kind != "metrics" or old.judged(name) or new.judged(name)
            if judged and not _equal(was, is_):
                label = name if kind == "metrics" else f"{kind} {name}"
                lines.append(f"{label}: {brief(was)} → {brief(is_)}")
    return lines or ["no change"]


def read_accepted(path: Path) -> Accepted | None:
    """What lies in `path`; None when there is no such file. Raises `DamagedAccepted`."""
    if not path.is_file():
        return None
    try:
        accepted = Accepted(**json.loads(path.read_text()))
        for name in ("provenance", "parameters", "metrics", "better", "tolerance"):
            if not isinstance(getattr(accepted, name), dict):
                raise TypeError(f"{name} is no object")
        return accepted
    except (ValueError, TypeError) as error:
        raise DamagedAccepted(
            f"{path} holds no accepted numbers ({error}); restore it, or delete it and run with --accept"
        ) from None


def write_accepted(path: Path, accepted: Accepted) -> None:
    """Write `accepted` as JSON, at once or not at all. Raises `OutputNotWritable`."""
    write_json(path, asdict(accepted))


def brief(value: object) -> str:
    """A value as a reader wants it: six digits are more than any tolerance sees."""
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _differing(accepted: Accepted, parameters: dict) -> tuple[str, ...]:
    names: Iterable[str] = accepted.parameters.keys() | parameters.keys()
    if len(accepted.seeds) > 1:
        names = set(names) - {"SEED"}
    return tuple(
        sorted(
            name
            for name in names
            if accepted.parameters.get(name, MISSING) != parameters.get(name, MISSING)
        )
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return isinstance(one, bool) == isinstance(other, bool) and one == other
