"""The checks of exercises, and that every notebook keeps to their convention."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from anonlab.errors import CheckTooWeak, NotYet
from anonlab.runner.exercises import TAGS, Check, verdicts

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def check() -> Check:
    return Check(3, lambda answer: abs(answer - 0.5) < 0.01, wrong=0.8, hint="Subtract the mean.")


def test_a_right_answer_passes():
    check().judge(0.505)
    assert repr(check()(0.505)) == "Exercise 3: right."


@pytest.mark.parametrize("answer", [0.6, ..., None, "half", float("nan")])
def test_any_other_answer_is_named_not_yet_with_the_hint(answer):
    with pytest.raises(NotYet, match="Subtract the mean"):
        check().judge(answer)
    assert repr(check()(answer)).startswith("Exercise 3: not yet. ")


def test_a_check_that_accepts_what_is_wrong_is_refused():
    with pytest.raises(CheckTooWeak, match=r"exercise 3 accepts 0\.8"):
        Check(3, lambda answer: answer > 0, wrong=0.8, hint="")


def test_several_answers_are_judged_together():
    both = Check(1, lambda a, b: a < b, wrong=(2, 1), hint="The other way round.")
    assert both(1, 2).right and not both(2, 1).right


def test_a_verdict_shows_no_markup_of_an_answer():
    shown = Check(1, lambda answer: answer[0], wrong=[0], hint="<b>")(1)._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown


def test_verdicts_are_read_from_an_executed_notebook():
    def cell(tag: str, text: str) -> dict:
        return {"metadata": {"tags": [tag]}, "outputs": [{"data": {"text/plain": [text]}}]}

    cells = [cell("check", repr(check()(...))), cell("solution", repr(check()(0.5)))]
    cells += [{"metadata": {}, "source": "text"}, cell("exercise", "Exercise 9: right.")]
    assert verdicts({"cells": cells}) == {"check": {3: False}, "solution": {3: True}}


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
