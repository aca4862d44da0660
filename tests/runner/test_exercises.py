"""The checks of exercises, their convention in every notebook, and assignments made of them."""

import ast
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from anonlab.notebook.exercises import Check, CheckTooStrict, CheckTooWeak, nearly, same
from anonlab.runner.course import assignment
from anonlab.runner.execution import tags_of

TAGS = ("exercise", "check", "solution")
PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def check() -> Check:
    return Check(3, nearly(0.5, within=0.01), wrong=[0.8], hint="Subtract the mean.")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0.505, "Exercise 3: right."),
        (0.6, "Exercise 3: not yet. Subtract the mean."),
        (float("nan"), "Exercise 3: not yet. Subtract the mean."),
        (..., "Exercise 3: not yet. Put your answer in place of the dots."),
        (None, "Exercise 3: not yet. The check stumbled (TypeError: "),
        ("half", "Exercise 3: not yet. The check stumbled (TypeError: "),
    ],
)
def test_only_a_right_answer_passes_and_the_hint_comes_after_a_try(answer, said):
    assert repr(check()(answer)).startswith(said)
    assert check()(answer).right is (answer == 0.505)
    assert ("Subtract" in repr(check()(answer))) is (answer not in (0.505, ...))


TRUTH = torch.tensor([[0.25, 0.5], [0.75, 1.0]])


@pytest.mark.parametrize(
    ("truth", "right", "wrong"),
    [
        (
            0.4037,
            [0.4037, 0.40, np.float32(0.4037), torch.tensor(0.4037), torch.tensor([[0.4037]]), [0.4037]],
            [0.42, -0.4037, 0.5963, 40.37, [0.4037, 0.4037], "0.4037", float("inf"), True],
        ),
        (
            TRUTH,
            [TRUTH, TRUTH.numpy(), TRUTH.tolist(), TRUTH[None], TRUTH.double(), list(TRUTH)],
            [TRUTH.T, TRUTH.flip(0), TRUTH + 0.1, TRUTH[:1], TRUTH.flatten(), 0 * TRUTH, TRUTH.mean()],
        ),
    ],
    ids=["number", "array"],
)
def test_right_answers_pass_in_any_spelling_and_wrong_ones_of_their_shape_do_not(truth, right, wrong):
    one = Check(1, nearly(truth, within=0.006), wrong=[], hint="")
    assert [one(answer).right for answer in right] == [True] * len(right)
    assert [one(answer).right for answer in wrong] == [False] * len(wrong)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x + x, "right."),
        (lambda x: (2 * x).tolist(), "right."),
        (lambda _: ..., "not yet. Put your answer"),
        (lambda x: x**2, "not yet. Twice."),
        (lambda x, _: 2 * x, "not yet. The check stumbled (TypeError"),
        (3.0, "not yet. The check stumbled (TypeError"),
    ],
)
def test_functions_are_tried_on_cases(function, said):
    cases = (torch.tensor([1.0, 2.0]),), (torch.tensor([3.0]),)
    one = Check(1, same(double, *cases, within=0.01), [], "Twice.")
    assert repr(one(function)).startswith(f"Exercise 1: {said}")


def test_a_solution_tries_its_check():
    said = repr(check().solved(0.5))
    tried = [*map(int, re.findall(r"\d+", said))][1:]
    assert "right" in said and tried[0] >= 3 and tried[1] >= 5
    exact = Check(1, lambda answer: answer == 0.123456, wrong=[], hint="")
    with pytest.raises(CheckTooStrict, match="refuses"):  # what is rounded
        exact.solved(0.123456)
    with pytest.raises(CheckTooWeak, match="accepts"):
        Check(1, lambda answer: answer >= 0.1, wrong=[], hint="").solved(0.5)
    with pytest.raises(CheckTooStrict):
        check().solved(0.7)
    same_double = Check(1, same(double, (torch.tensor([1.0, 2.0]),), within=0.01), [], "")
    assert same_double.solved(double).right


def test_a_check_that_accepts_what_is_wrong_is_refused():
    with pytest.raises(CheckTooWeak, match=r"exercise 3 accepts \(0\.8,\)"):
        Check(3, lambda answer: answer > 0, wrong=[-1, 0.8], hint="")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_has_three_exercises_of_three_cells(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    tagged = [(tag, one) for one in code for tag in TAGS if tag in one["metadata"].get("tags", [])]
    assert len(tagged) >= 9
    assert [tag for tag, _ in tagged] == len(tagged) // 3 * [*TAGS]  # in this order, none alone
    for number, start in enumerate(range(0, len(tagged), 3), 1):
        cells = [one for _, one in tagged[start : start + 3]]
        exercise, checked, solution = ("".join(one["source"]) for one in cells)
        assert "..." in exercise and "# TODO" in exercise
        assert re.search(rf"check_{number} = Check\(\s*{number},", checked)
        assert solution.splitlines()[-1].startswith(f"check_{number}.solved(") and "..." not in solution
        assert all(one["metadata"]["jupyter"]["source_hidden"] for one in cells[1:])


def named(source: str) -> set[str]:
    """The names that code gives a value to."""
    tree = ast.parse(source)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("tool", ["nbgrader", "otter"])
def test_an_assignment_has_answers_only_where_it_is_solved(path, tool):
    node = nbformat.read(path, as_version=4)
    exercises, checks, _ = ([c for c in node.cells if tag in tags_of(c)] for tag in TAGS)
    for solved in (False, True):
        made = assignment(node, tool, solved)
        nbformat.validate(made)
        assert not any("solution" in tags_of(c) for c in made.cells)
        found = [c for c in made.cells if "exercise" in tags_of(c)]
        assert len(found) == len(exercises) >= 3
        for old, check, cell in zip(exercises, checks, found, strict=True):
            assert (cell.source == old.source) is not solved
            asked = {ast.unparse(one) for one in ast.parse(check.source).body[-1].value.args}
            assert asked <= named(cell.source)
