"""Exercises of the notebooks: a check that says *not yet* until the answer is right.

An exercise is three cells, told apart by their tags: `exercise` leaves an answer open (`...`), `check`
makes a `Check` and asks it about the answer, `solution` (folded) asks the same check about ours. All
three are run wherever the notebook runs, so an executed notebook shows whether its checks work.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import CheckTooWeak, NotYet

TAGS = ("exercise", "check", "solution")
SAID = re.compile(r"Exercise (\d+): (right|not yet)")


@dataclass(frozen=True)
class Verdict:
    """What a notebook shows below a check."""

    number: int
    right: bool
    remark: str

    def __repr__(self) -> str:
        return f"Exercise {self.number}: {'right' if self.right else 'not yet'}. {self.remark}".rstrip()

    def _repr_html_(self) -> str:
        colour, sign = ("#1e7e45", "✓") if self.right else ("#8a5a00", "✗")
        return f"<p style='color:{colour}'>{sign} {html.escape(repr(self))}</p>"


class Check:
    """The check of exercise `number`: whether `right(*answers)` is true.

    `wrong` is an answer (a tuple where there are several) that somebody might give and that must not
    pass: the check is tried on it at once. `hint` is shown while the answer is not right. Raises
    `CheckTooWeak` when `wrong` passes.
    """

    def __init__(self, number: int, right: Callable[..., object], wrong: object, hint: str):
        self.number, self.right, self.hint = number, right, hint
        try:
            self.judge(*(wrong if isinstance(wrong, tuple) else (wrong,)))
        except NotYet:
            return
        raise CheckTooWeak(f"the check of exercise {number} accepts {wrong!r}; make it stricter")

    def judge(self, *answers: object) -> None:
        """Raises `NotYet` unless the answers are right; an answer of the wrong kind is not right."""
        if any(answer is ... for answer in answers):
            raise NotYet(f"Put your answer in place of the dots. {self.hint}")
        try:
            passed = bool(self.right(*answers))
        except Exception as error:  # whatever a beginner's answer does to it
            raise NotYet(f"The check stumbled ({type(error).__name__}: {error}). {self.hint}") from error
        if not passed:
            raise NotYet(self.hint)

    def __call__(self, *answers: object) -> Verdict:
        """The same as something to look at: a notebook goes on after it."""
        try:
            self.judge(*answers)
        except NotYet as error:
            return Verdict(self.number, False, str(error))
        return Verdict(self.number, True, "")


def verdicts(notebook: dict) -> dict[str, dict[int, bool]]:
    """What the checks of an executed notebook (parsed JSON) said: for `check`, on the open answers,
    and for `solution`, on ours: exercise → whether it was right."""
    found: dict[str, dict[int, bool]] = {"check": {}, "solution": {}}
    for cell in notebook["cells"]:
        for tag in found.keys() & set(cell["metadata"].get("tags", [])):
            for output in cell.get("outputs", []):
                said = SAID.match("".join(output.get("data", {}).get("text/plain", "")))
                if said:
                    found[tag][int(said[1])] = said[2] == "right"
    return found
