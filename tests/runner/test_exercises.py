"""The checks of exercises, and that every notebook keeps to their convention."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from anonlab.errors import CheckTooWeak
from anonlab.runner.exercises import Check

TAGS = ("exercise", "check", "solution")
PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def check() -> Check:
    return Check(3, lambda answer: abs(answer - 0.5) < 0.01, wrong=0.8, hint="Subtract the mean.")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0.505, "Exercise 3: right."),
        (0.6, "Exercise 3: not yet. Subtract the mean."),
        (float("nan"), "Exercise 3: not yet. Subtract the mean."),
        (..., "Exercise 3: not yet. Put your answer in place of the dots. Subtract the mean."),
        (None, "Exercise 3: not yet. The check stumbled (TypeError: "),
        ("half", "Exercise 3: not yet. The check stumbled (TypeError: "),
    ],
)
def test_only_a_right_answer_passes_and_any_other_gets_the_hint(answer, said):
    assert repr(check()(answer)).startswith(said)
    assert check()(answer).right is (answer == 0.505)


def test_a_check_that_accepts_what_is_wrong_is_refused():
    with pytest.raises(CheckTooWeak, match=r"exercise 3 accepts 0\.8"):
        Check(3, lambda answer: answer > 0, wrong=0.8, hint="")


def test_several_answers_are_judged_together():
    both = Check(1, lambda a, b: a < b, wrong=(2, 1), hint="The other way round.")
    assert both(1, 2).right and not both(2, 1).right


def test_a_verdict_shows_no_markup_of_an_answer():
    shown = Check(1, lambda answer: answer[0], wrong=[0], hint="<b>")(1)._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_has_three_exercises_of_three_cells(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    tagged = [
        (tag, "".join(cell["source"]), cell)
        for cell in code
        for tag in TAGS
        if tag in cell["metadata"].get("tags", [])
    ]
    assert len(tagged) >= 9
    assert [tag for tag, _, _ in tagged] == len(tagged) // 3 * [*TAGS]  # in this order, none alone
    for number, (exercise, checked, solution) in enumerate(
        zip(tagged[::3], tagged[1::3], tagged[2::3], strict=True), 1
    ):
        assert "..." in exercise[1] and "# TODO" in exercise[1]
        assert re.search(rf"check_{number} = Check\(\s*{number},", checked[1])
        assert f"check_{number}(" in solution[1].splitlines()[-1]
        assert "..." not in solution[1]
        assert solution[2]["metadata"]["jupyter"]["source_hidden"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_set_up_record_and_solutions_are_folded(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in (code[1], code[-1]):
        assert cell["metadata"]["jupyter"]["source_hidden"]
        assert "hide-input" in cell["metadata"]["tags"]
