"""A number, which way is better, and what it guards.

`higher(0.9)`, `lower(0.03)`, `reference(0.6)` and `shown(12.5)` wrap a value, or a whole dict of values
of one kind: the direction is declared where a number is defined. Which numbers can fail a run is decided
in a notebook's last cell: `record(output, metrics, judged={name: Guard})`. Every `Guard` states in a
sentence what is wrong when its number moves. All other numbers are recorded and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from ..errors import AnonlabError

HIGHER, LOWER, REFERENCE, SHOWN = "higher", "lower", "reference", "shown"
WORDS = {
    HIGHER: "higher is better",
    LOWER: "lower is better",
    REFERENCE: "neither way is better",
    SHOWN: "no direction",
}


class UndeclaredMetric(AnonlabError):
    """A recorded number does not say whether higher or lower is better, or that it must stay."""


@dataclass(frozen=True)
class Guard:
    """State what a judged number stands for, and how it is judged.

    With bounds (`low`, `high`, inclusive) the number must lie between them on every machine. Without
    bounds it is compared with the accepted number; `noticed` is then the smallest change that a person
    would notice or that would alter a conclusion, and `step` is how far one case (a landmark that jumps,
    a face whose estimate flips) or another processor can move the number: no tolerance is below it.
    """

    sentence: str
    low: float | None = None
    high: float | None = None
    noticed: float | None = None
    step: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether bounds decide, and not an accepted number."""
        return self.low is not None or self.high is not None

    def holds(self, value: object) -> bool:
        """Return whether `value` is a number between the bounds; NaN is not."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def stated(self) -> dict[str, object]:
        """Return what it states, as a file keeps it."""
        return {name: value for name, value in vars(self).items() if value is not None}


as_accepted = Guard  # by the accepted number


def at_least(low: float, sentence: str) -> Guard:
    """Guard a sentence that holds while its number is `low` or more."""
    return Guard(sentence, low=low)


def at_most(high: float, sentence: str) -> Guard:
    """Guard a sentence that holds while its number is `high` or less."""
    return Guard(sentence, high=high)


@dataclass(frozen=True)
class Measured:
    """Hold a value (or dicts and lists of them), one of `WORDS`, and its guard where it is judged. A
    share states of how many `cases` it is made: it cannot be known better than to one of them."""

    value: object
    better: str
    cases: int | None = None
    guard: Guard | None = None


Declaration = Callable[..., Measured]
higher, lower = partial(Measured, better=HIGHER), partial(Measured, better=LOWER)
reference = partial(Measured, better=REFERENCE)  # an input, an untouched photo, another method
shown = partial(Measured, better=SHOWN)  # times, memory, sentences


def declare(
    values: Mapping[str, object],
    table: Mapping[str, Declaration],
    cases: Mapping[str, int] | None = None,
) -> dict[str, Measured]:
    """Wrap each of `values` by the declaration of its name in `table`; `cases` of those that are shares.

    Raises `UndeclaredMetric`.
    """
    for name in values:
        _check(name in table, name)
    return {name: table[name](one, cases=(cases or {}).get(name)) for name, one in values.items()}


def flatten(metrics: object, judged: Mapping[str, Guard] | None = None) -> dict[str, Measured]:
    """Return nested dicts and lists as one flat dict, its names joined with `/`, with the guards of
    `judged`, by flat name.

    A declaration covers everything inside its value. Raises `UndeclaredMetric` for a value that
    nothing covers, and for a guard whose number is not among the metrics.
    """
    flat = dict(_leaves(metrics, "", None))
    for name, guard in (judged or {}).items():
        if name not in flat:
            raise UndeclaredMetric(
                f"the judged number {name!r} ({guard.sentence}) is not recorded; name one of the metrics"
            )
        flat[name] = replace(flat[name], guard=guard)
    return flat


def _leaves(value: object, name: str, outer: Measured | None) -> Iterable[tuple[str, Measured]]:
    if isinstance(value, Measured):
        _check(value.better in WORDS, name)
        yield from _leaves(value.value, name, value)
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(one, f"{name}/{key}" if name else str(key), outer)
    else:
        _check(outer is not None, name)
        yield name, replace(outer, value=value)


def to_json(metrics: object, judged: Mapping[str, Guard] | None = None) -> dict[str, dict]:
    """Return the flat form that a notebook leaves in a file. Raises `UndeclaredMetric`."""
    return {
        name: {"value": one.value, "better": one.better}
        | ({"cases": one.cases} if one.cases else {})
        | ({"guard": one.guard.stated()} if one.guard else {})
        for name, one in flatten(metrics, judged).items()
    }


def from_json(recorded: Mapping[str, dict]) -> dict[str, Measured]:
    """Read what `to_json` wrote. Raises `UndeclaredMetric`."""
    metrics = {}
    for name, one in recorded.items():
        _check(isinstance(one, dict) and "value" in one and one.get("better") in WORDS, name)
        metrics[name] = Measured(**one | {"guard": Guard(**one["guard"]) if "guard" in one else None})
    return metrics


def _check(declared: bool, name: str) -> None:
    if not declared:
        raise UndeclaredMetric(
            f"the metric {name} does not say which way is better; "
            "declare it as higher, lower, reference or shown (anonlab.notebook.measured)"
        )
