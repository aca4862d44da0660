"""Exercises of the notebooks: a check that says *not yet* until the answer is right.

An exercise is three cells, told apart by their tags: `exercise` leaves an answer open (`...`), `check`
makes a `Check` and asks it about the answer, `solution` (folded) asks the same check about ours. All
three are run wherever the notebook runs, so an executed notebook shows whether its checks work.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import CheckTooWeak


@dataclass(frozen=True)
class Verdict:
    """What a notebook shows below a check."""

    number: int
    right: bool
    remark: str = ""

    def __repr__(self) -> str:
        return f"Exercise {self.number}: {'right' if self.right else 'not yet'}. {self.remark}".rstrip()

    def _repr_html_(self) -> str:
        colour, sign = ("#1e7e45", "✓") if self.right else ("#8a5a00", "✗")
        return f"<p style='color:{colour}'>{sign} {html.escape(repr(self))}</p>"


class Check:
    """The check of exercise `number`: whether `right(*answers)` is true.

    `wrong` is an answer (a tuple where there are several) that must not pass: the check is tried on it.
    `hint` is shown while the answer is not right. Raises `CheckTooWeak` when `wrong` passes.
    """

    def __init__(self, number: int, right: Callable[..., object], wrong: object, hint: str):
        self.number, self.right, self.hint = number, right, hint
        if self(*(wrong if isinstance(wrong, tuple) else (wrong,))).right:
            raise CheckTooWeak(f"the check of exercise {number} accepts {wrong!r}; make it stricter")

    def __call__(self, *answers: object) -> Verdict:
        """Judge the answers; one of the wrong kind is not right, and the notebook goes on after it."""
        if any(answer is ... for answer in answers):
            return Verdict(self.number, False, f"Put your answer in place of the dots. {self.hint}")
        try:
            passed = bool(self.right(*answers))
        except Exception as error:  # whatever a beginner's answer does to it
            said = f"The check stumbled ({type(error).__name__}: {error}). {self.hint}"
            return Verdict(self.number, False, said)
        return Verdict(self.number, passed, "" if passed else self.hint)
