"""A run's judged numbers against bounds and against those that were accepted.

A notebook states which of its numbers are judged, and what each of them guards (`measured.Guard`). A
number with bounds must keep them. Any other is compared with the accepted one, within a tolerance that
was measured: the notebook was repeated with other seeds and under other instruction sets and numbers of
threads (`ENVIRONMENTS`), and the tolerance is twice the largest deviation that this showed.
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputDamaged
from ..notebook.measured import HIGHER, LOWER, SHOWN, WORDS, Guard, Measured

NATIVE = "native"
ENVIRONMENTS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("environments.toml").read_text(encoding="utf-8")
)
REPEATS = (("sse41", 1), ("avx2-1-thread", 2))  # by --accept: environment, what is added to SEED
MARGIN = 2  # tolerance in largest deviations: the repeats are few
FLOOR = 0.02  # ... and not below this share of the number, where the guard states no step
MISSING = "missing"  # what is shown where there is no number
VERDICTS = ("failed", "ok", "shown")  # in the order of interest


@dataclass(frozen=True)
class Accepted:
    """Hold the accepted numbers of one notebook in one profile."""

    provenance: dict
    parameters: dict  # those of the notebook, without the folders it writes to
    repeats: list[dict]  # {"environment", "switches", "seed"} of every run that is in the tolerances
    judged: dict[str, dict]  # {"value", "better", "tolerance", "seen": [low, high], "guard"}
    shown: dict[str, object]


@dataclass(frozen=True)
class Row:
    """Hold one metric: accepted, now, and the verdict (one of `VERDICTS`)."""

    name: str
    accepted: object
    now: object
    verdict: str
    better: str = SHOWN
    tolerance: float | None = None
    guard: Guard | None = None

    @property
    def change(self) -> str:
        """`0.83 → 0.71`."""
        return f"{brief(self.accepted)} → {brief(self.now)}"

    @property
    def size(self) -> str:
        """How large the change is, in words: against bounds, or against what a person notices."""
        if self.now is MISSING:
            return "it is no longer judged; that has to be accepted"
        if self.guard and self.guard.bounded:
            limits = (("at least", self.guard.low), ("at most", self.guard.high))
            return "must be " + " and ".join(f"{word} {brief(x)}" for word, x in limits if x is not None)
        if self.accepted is MISSING:
            return "nothing is accepted yet"
        if not (is_number(self.accepted) and is_number(self.now)):
            return "must be the same"
        moved, said = abs(self.now - self.accepted), ""
        if self.guard and self.guard.noticed:
            said = f"{moved / self.guard.noticed:.2g} times the smallest change that matters, "
        return f"{said}{brief(moved)} where other seeds and machines explain {brief(self.tolerance)}"

    def __str__(self) -> str:
        sentence = f" — {self.guard.sentence}" if self.guard else ""
        return f"{self.name}: {self.change} ({self.size}; {WORDS[self.better]}){sentence}"


def tolerance(values: list[float], guard: Guard, cases: int | None = None) -> float:
    """Return how far a number may be off `values[0]`; the others are its repeats.

    Twice the largest deviation; not below one case of a share, nor below the guard's step. Without one a
    fiftieth of the number has to do, and a whole number is exact.
    """
    step = guard.step
    if step is None:
        step = 0.0 if all(isinstance(value, int) for value in values) else FLOOR * abs(values[0])
    deviation = max(abs(value - values[0]) for value in values)
    return max(MARGIN * deviation, step, 1 / cases if cases else 0.0)


def judge(better: str, accepted: object, now: object, allowed: float) -> str:
    """Return `ok` or `failed`. What is no finite number has to be equal (NaN equals NaN)."""
    if not (is_number(accepted) and is_number(now)):
        return "ok" if _same(accepted, now) else "failed"
    change = now - accepted
    worse = {LOWER: change, HIGHER: -change}.get(better, abs(change))
    return "ok" if worse <= allowed else "failed"


def differing(accepted: Accepted, parameters: dict) -> list[str]:
    """Name the parameters that are not the accepted ones: with them nothing can be judged."""
    before, names = accepted.parameters, accepted.parameters.keys() | parameters.keys()
    if len({one["seed"] for one in accepted.repeats}) > 1:  # the tolerances hold for any seed
        names -= {"SEED"}
    return sorted(name for name in names if before.get(name, MISSING) != parameters.get(name, MISSING))


def compare(accepted: Accepted, metrics: dict[str, Measured]) -> list[Row]:
    """Judge the flat `metrics` of a notebook, failures first.

    A number that is newly judged, is no longer judged or claims another direction fails: that has to be
    accepted like a number.
    """
    every = dict.fromkeys([*metrics, *accepted.judged])
    rows = [_row(name, accepted, accepted.judged.get(name), metrics.get(name)) for name in every]
    return sorted(rows, key=lambda row: VERDICTS.index(row.verdict))


def _row(name: str, accepted: Accepted, was: dict | None, measured: Measured | None) -> Row:
    guard = measured.guard if measured else None
    better = measured.better if measured else was["better"]
    allowed = was["tolerance"] if was and guard and not guard.bounded else None
    value = was["value"] if was else accepted.shown.get(name, MISSING)
    now = MISSING if was and not guard else measured.value
    if guard is None:
        verdict = "failed" if was else "shown"
    elif guard.bounded:
        verdict = "ok" if guard.holds(now) else "failed"
    elif was is None:
        verdict, value = "failed", MISSING
    else:
        verdict = judge(better, value, now, allowed or 0.0) if was["better"] == better else "failed"
    return Row(name, value, now, verdict, better, allowed, guard)


def accept(
    runs: list[dict[str, Measured]], repeats: list[dict], parameters: dict, origin: dict
) -> Accepted:
    """Make accepted numbers of the flat metrics of `runs`; the first is the one that later runs repeat.

    `repeats` says of each in which environment and with which seed it ran.
    """
    judged, shown = {}, {}
    for name, first in runs[0].items():
        if first.guard is None:
            shown[name] = first.value
            continue
        values = [one[name].value if name in one else MISSING for one in runs]
        one = {"value": first.value, "better": first.better, "tolerance": None}
        one["guard"] = first.guard.stated()
        if all(is_number(value) for value in values):
            one["seen"] = [min(values), max(values)]
            if not first.guard.bounded:
                one["tolerance"] = tolerance(values, first.guard, first.cases)
        elif not all(_same(value, first.value) for value in values):
            one["seen"] = values
        judged[name] = one
    return Accepted(origin, parameters, repeats, judged, shown)


def read_accepted(path: Path) -> Accepted | None:
    """Read what lies in `path`; None when there is no such file. Raises `InputDamaged`."""
    if not path.is_file():
        return None
    try:
        accepted = Accepted(**json.loads(path.read_text(encoding="utf-8")))
        for one in accepted.judged.values():
            Guard(**one["guard"]), one["value"], one["better"], one["tolerance"]
        accepted.provenance.items(), accepted.parameters.items()
        return accepted
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputDamaged(
            f"{path} holds no accepted numbers ({error}); restore it, or delete it and run with --accept"
        ) from None


def brief(value: object) -> str:
    """Return a value with as many digits as a reader wants."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; a truth value is none."""
    return type(value) in (int, float) and math.isfinite(value)


def _same(one: object, other: object) -> bool:
    """Return whether both are written alike: NaN is NaN, and true is not 1."""
    return json.dumps(one) == json.dumps(other)
