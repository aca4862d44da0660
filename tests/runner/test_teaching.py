"""Assignments that grade themselves, and slides of what is tagged."""

import ast
from pathlib import Path

import nbformat
import pytest

from anonlab.runner.course import assignment
from anonlab.runner.execution import tags_of

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))


def named(source: str) -> set[str]:
    """The names that code gives a value to."""
    tree = ast.parse(source)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("tool", ["nbgrader", "otter"])
def test_an_assignment_has_answers_only_where_it_is_solved(path, tool):
    node = nbformat.read(path, as_version=4)
    tagged = {
        tag: [c for c in node.cells if tag in tags_of(c)] for tag in ("exercise", "check", "solution")
    }
    for solved in (False, True):
        made = assignment(node, tool, solved)
        nbformat.validate(made)
        assert not any("solution" in tags_of(c) for c in made.cells)
        found = [c for c in made.cells if "exercise" in tags_of(c)]
        assert len(found) == len(tagged["exercise"]) >= 3
        for old, check, cell in zip(tagged["exercise"], tagged["check"], found, strict=True):
            assert (cell.source == old.source) is not solved
            asked = {ast.unparse(one) for one in ast.parse(check.source).body[-1].value.args}
            assert asked <= named(cell.source)
