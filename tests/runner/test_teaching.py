"""Assignments that grade themselves, and slides of what is tagged."""

import ast
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from anonlab.runner.teaching import assignment, write_assignments

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
        tag: [c for c in node.cells if tag in c.metadata.get("tags", [])]
        for tag in ("exercise", "check", "solution")
    }
    for solved in (False, True):
        made = assignment(node, tool, solved)
        nbformat.validate(made)
        assert not any("solution" in c.metadata.get("tags", []) for c in made.cells)
        found = [c for c in made.cells if "exercise" in c.metadata.get("tags", [])]
        assert len(found) == len(tagged["exercise"]) >= 3
        for old, check, cell in zip(tagged["exercise"], tagged["check"], found, strict=True):
            assert (cell.source == old.source) is not solved
            asked = {ast.unparse(one) for one in ast.parse(check.source).body[-1].value.args}
            assert asked <= named(cell.source)


@pytest.fixture
def lesson(tmp_path) -> Path:
    """A folder with a notebook of two exercises, a number and a function."""

    def cell(source: str, *tags: str):
        made = nbformat.v4.new_code_cell(source)
        made.metadata["tags"] = list(tags)
        return made

    node = nbformat.v4.new_notebook()
    node.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    first = "from anonlab.runner.exercises import Check, nearly, same"
    node.cells = [
        nbformat.v4.new_markdown_cell("# Two exercises"),
        cell(first),
        cell("half = ...  # TODO", "exercise"),
        cell('check_1 = Check(1, nearly(0.5, within=0.01), [1], "")\ncheck_1(half)', "check"),
        cell("ours = 1 / 2\ncheck_1.solved(ours)", "solution"),
        cell("def twice(x):\n    return ...  # TODO", "exercise"),
        cell(
            'check_2 = Check(2, same(lambda x: 2 * x, (3,), within=0), [], "")\ncheck_2(twice)', "check"
        ),
        cell("def double(x):\n    return x + x\n\n\ncheck_2.solved(double)", "solution"),
    ]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(node, tmp_path / "notebooks" / "00_two.ipynb")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader starts alembic by its name
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent), "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nbgrader_gives_the_solved_copy_all_points_and_the_open_one_none(lesson):
    pytest.importorskip("nbgrader")
    write_assignments(lesson, lesson / "notebooks")
    course = lesson / "nbgrader"
    run(course, "nbgrader", "generate_assignment", "00_two")
    released = course / "release" / "00_two" / "00_two.ipynb"
    assert "1 / 2" not in released.read_text() and "double" not in released.read_text()
    for student, copy in (("open", released), ("solved", course / "source" / "00_two" / "00_two.ipynb")):
        place = course / "submitted" / student / "00_two"
        place.mkdir(parents=True)
        shutil.copy(copy, place)
    run(course, "nbgrader", "autograde", "00_two")
    asked = """select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n
        on g.notebook_id = n.id join submitted_assignment s on n.assignment_id = s.id group by 1"""
    with sqlite3.connect(course / "gradebook.db") as book:
        assert dict(book.execute(asked)) == {"open": 0, "solved": 2}
