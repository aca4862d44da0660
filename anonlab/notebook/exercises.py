"""Exercises of the notebooks: a check that says *not yet* until the answer is right.

An exercise is three cells, told apart by their tags: `exercise` leaves an answer open (`...`), `check`
makes a `Check` and asks it about the answer, `solution` (folded) asks the same check about ours. All
three are run wherever the notebook runs, so an executed notebook shows whether its checks work. An
answer is a number, an array, or a function that the check tries on cases.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import AnonlabError

OPEN = "Put your answer in place of the dots."


class CheckTooWeak(AnonlabError):
    """The check of an exercise accepts an answer that is known to be wrong."""


class CheckTooStrict(AnonlabError):
    """The check of an exercise refuses a spelling of the right answer."""


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

    `right` is a predicate, or comes from `nearly` or `same`; it gets numbers as `plain` spells them.
    `wrong` are answers (tuples where there are several) that must not pass: the check is tried on them.
    `hint` is shown after an answer that is not right. An answer may be rounded to `digits` after the
    point. Raises `CheckTooWeak` when one of `wrong` passes.
    """

    def __init__(
        self, number: int, right: Callable[..., object], wrong: Sequence, hint: str, digits: int = 3
    ):
        self.number, self.right, self.hint, self.digits = number, right, hint, digits
        self.wrong = [one if isinstance(one, tuple) else (one,) for one in wrong]
        self._refuse(self.wrong)

    def __call__(self, *answers: object) -> Verdict:
        """Judge the answers; one of the wrong kind is not right, and the notebook goes on after it."""
        try:
            passed = bool(self.right(*map(plain, answers)))
            return Verdict(self.number, passed, "" if passed else self.hint)
        except _Open:
            return Verdict(self.number, False, OPEN)
        except Exception as error:  # an answer may raise anything
            said = f"The check stumbled ({type(error).__name__}: {error}). {self.hint}"
            return Verdict(self.number, False, said)

    def solved(self, *answers: object) -> Verdict:
        """Judge our answers, and by them the check: other spellings of them pass, nonsense of their
        shape does not. Raises `CheckTooStrict` and `CheckTooWeak`."""
        forms = *SPELLINGS, lambda a: np.round(a, self.digits)
        spelled = [answers, *(tuple(_changed(answer, form) for answer in answers) for form in forms)]
        for one in spelled:
            if not self(*one).right:
                raise CheckTooStrict(
                    f"the check of exercise {self.number} refuses {one!r}, a spelling of the solution: "
                    f"{self(*one).remark}"
                )
        mangled = [tuple(_changed(answer, form) for answer in answers) for form in NONSENSE]
        mangled = [one for one in mangled if not all(map(_alike, one, answers))]
        self._refuse(mangled)
        wrong = len(mangled) + len(self.wrong)
        said = f"{len(spelled)} spellings of it pass, {wrong} wrong answers do not."
        return Verdict(self.number, True, said)

    def _refuse(self, wrong: Iterable[tuple]) -> None:
        for one in wrong:
            if self(*one).right:
                raise CheckTooWeak(
                    f"the check of exercise {self.number} accepts {one!r}; make it stricter"
                )


class _Open(Exception):
    """An answer is still dots, or a function returns them."""


def nearly(*truths: object, within: float) -> Callable[..., bool]:
    """Return a predicate of as many answers: each has the numbers of its truth to within `within`, in
    any spelling (`float`, list, NumPy, tensor, axes of length 1); nothing is broadcast."""
    wanted = [np.squeeze(_array(truth)) for truth in truths]

    def right(*answers: object) -> bool:
        found = [np.squeeze(_array(answer)) for answer in answers]
        return all(
            a.shape == b.shape and bool((np.abs(a - b) <= within).all())
            for a, b in zip(found, wanted, strict=True)
        )

    return right


def same(reference: Callable, *cases: tuple, within: float) -> Callable[[Callable], bool]:
    """Return a predicate of a function: on every one of `cases`, tuples of arguments, it returns what
    `reference` does, to within `within`."""

    def right(function: Callable) -> bool:
        answers = [plain(function(*case)) for case in cases]
        truths = [reference(*case) for case in cases]
        return nearly(*truths, within=within)(*answers)

    return right


def plain(answer: object) -> object:
    """Return a single number as `float`, several as a float32 tensor, and functions and text as they
    are."""
    if answer is ...:
        raise _Open
    if callable(answer) or isinstance(answer, str):
        return answer
    found = _array(answer)
    return found.item() if found.size == 1 else torch.from_numpy(found).float()


def _noisy(numbers: np.ndarray) -> np.ndarray:
    """Move each number by half of the largest one's size or more."""
    rng, size = np.random.default_rng(0), np.abs(numbers).max() or 1.0
    return numbers + size * rng.choice([-1, 1], numbers.shape) * rng.uniform(0.5, 1, numbers.shape)


SPELLINGS = (  # of the same answer
    lambda a: a,
    torch.from_numpy,
    lambda a: a.tolist(),
    lambda a: torch.from_numpy(a).float()[None] if a.ndim == 0 else a.astype(np.float32),
)
NONSENSE = (lambda a: 0 * a, lambda a: -a, lambda a: 2 * a, lambda a: a / 2, lambda a: a + 1, _noisy)


def _changed(answer: object, form: Callable[[np.ndarray], object]) -> object:
    if callable(answer):
        return lambda *case: form(_array(answer(*case)))
    return form(_array(answer))


def _alike(one: object, other: object) -> bool:
    return not callable(one) and np.allclose(_array(one), _array(other))


def _array(answer: object) -> np.ndarray:
    """Return numbers as an array of doubles. Raises `TypeError` for anything else."""
    if isinstance(answer, list | tuple):
        return np.stack([_array(one) for one in answer])
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().numpy()
    found = np.asarray(answer)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"a number was asked for, not {answer!r}")
    return found.astype(float)
