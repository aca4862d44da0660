"""A number, and which way is better: said where the number is defined, not guessed from its name.

`higher(0.9)`, `lower(0.03)`, `reference(0.6)` and `shown(12.5)` wrap a value, or a whole dict of
values of one kind. A reference has to stay where it is: a fixed input, what a peer or an untouched
photo scores, a threshold. If it moves, the measuring has changed and not what is measured. What is
`shown` is never judged: times, memory, sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .errors import UndeclaredMetric

HIGHER, LOWER, REFERENCE, SHOWN = "higher", "lower", "reference", "shown"
WORDS = {
    HIGHER: "higher is better",
    LOWER: "lower is better",
    REFERENCE: "a reference that must stay",
    SHOWN: "not judged",
}


@dataclass(frozen=True)
class Measured:
    """A value (or dicts and lists of them) and one of `WORDS`.

    A share says of how many `cases`: it cannot be known better than to one of them.
    """

    value: object
    better: str
    cases: int | None = None


Declaration = Callable[..., Measured]


def higher(value: object, cases: int | None = None) -> Measured:
    """More of it is better."""
    return Measured(value, HIGHER, cases)


def lower(value: object, cases: int | None = None) -> Measured:
    """Less of it is better."""
    return Measured(value, LOWER, cases)


def reference(value: object, cases: int | None = None) -> Measured:
    """Any change is an alarm."""
    return Measured(value, REFERENCE, cases)


def shown(value: object, cases: int | None = None) -> Measured:
    """Recorded and shown, never judged."""
    return Measured(value, SHOWN, cases)


def declare(
    values: Mapping[str, object],
    table: Mapping[str, Declaration],
    cases: Mapping[str, int] | None = None,
) -> dict[str, Measured]:
    """Each of `values` by the declaration of its name in `table`; `cases` of those that are shares.

    Raises `UndeclaredMetric`.
    """
    for name in values:
        if name not in table:
            raise undeclared(name)
    return {name: table[name](value, (cases or {}).get(name)) for name, value in values.items()}


def flatten(metrics: object) -> dict[str, Measured]:
    """Nested dicts and lists as one flat dict, its names joined with `/`.

    A declaration covers everything inside its value. Raises `UndeclaredMetric` for a value that
    nothing covers.
    """
    return dict(_leaves(metrics, "", None))


def to_json(metrics: object) -> dict[str, dict]:
    """Flat, as a notebook leaves it in a file. Raises `UndeclaredMetric`."""
    return {
        name: {"value": one.value, "better": one.better} | ({"cases": one.cases} if one.cases else {})
        for name, one in flatten(metrics).items()
    }


def from_json(recorded: object) -> dict[str, Measured]:
    """What `to_json` wrote. Raises `UndeclaredMetric`."""
    metrics = {}
    for name, one in recorded.items() if isinstance(recorded, dict) else ():
        if not isinstance(one, dict) or "value" not in one or one.get("better") not in WORDS:
            raise undeclared(name)
        metrics[name] = Measured(one["value"], one["better"], one.get("cases"))
    return metrics


def _leaves(value: object, name: str, outer: Measured | None) -> Iterable[tuple[str, Measured]]:
    if isinstance(value, Measured):
        if value.better not in WORDS:
            raise undeclared(name)
        yield from _leaves(value.value, name, value)
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in items:
            yield from _leaves(one, f"{name}/{key}" if name else str(key), outer)
    elif outer is None:
        raise undeclared(name)
    else:
        yield name, Measured(value, outer.better, outer.cases)


def undeclared(name: str) -> UndeclaredMetric:
    """The error to raise for a metric of that name."""
    return UndeclaredMetric(
        f"the metric {name} does not say which way is better; "
        "declare it as higher, lower, reference or shown (anonlab.measured)"
    )
