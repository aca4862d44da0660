"""Assignments grade themselves: all points for the solved copy and none for the open one."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from lessons import code, lesson

from anonlab.runner import course

CELLS = (
    ("exercise", "half = ...  # TODO"),
    ("check", 'check_1 = Check(1, nearly(0.5, within=0.01), [1], "")\ncheck_1(half)'),
    ("solution", "ours = 1 / 2\ncheck_1.solved(ours)"),
    ("exercise", "def twice(x):\n    return ...  # TODO"),
    ("check", 'check_2 = Check(2, same(lambda x: 2 * x, (3,), within=0), [], "")\ncheck_2(twice)'),
    ("solution", "def double(x):\n    return x + x\n\n\ncheck_2.solved(double)"),
)


@pytest.fixture
def assignments(tmp_path, monkeypatch) -> Path:
    """The assignments of a notebook of two exercises, a number and a function."""
    cells = [code(source, tags=(tag,)) for tag, source in CELLS]
    begun = code("from anonlab.notebook.exercises import Check, nearly, same")
    (tmp_path / "notebooks").mkdir()
    nbformat.write(lesson("STEPS = 1", begun, *cells), tmp_path / "notebooks" / "00_two.ipynb")
    monkeypatch.setattr(course, "notebooks_folder", lambda: tmp_path / "notebooks")
    course.write_assignments(tmp_path)
    return tmp_path


def run(folder: Path, *command: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader starts alembic by its name
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_nbgrader_gives_the_solved_copy_all_points_and_the_open_one_none(assignments):
    place = assignments / "nbgrader"
    run(place, "nbgrader", "generate_assignment", "00_two")
    released = place / "release" / "00_two" / "00_two.ipynb"
    assert "1 / 2" not in released.read_text() and "double" not in released.read_text()
    for student, copy in (("open", released), ("solved", place / "source" / "00_two" / "00_two.ipynb")):
        (place / "submitted" / student / "00_two").mkdir(parents=True)
        shutil.copy(copy, place / "submitted" / student / "00_two")
    run(place, "nbgrader", "autograde", "00_two")
    asked = """select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n
        on g.notebook_id = n.id join submitted_assignment s on n.assignment_id = s.id group by 1"""
    with sqlite3.connect(place / "gradebook.db") as book:
        assert dict(book.execute(asked)) == {"open": 0, "solved": 2}


def test_otter_passes_all_tests_of_the_solved_copy_and_none_of_the_open_one(assignments):
    passed = {}
    for copy in ("student", "solved"):
        place = assignments / "otter" / copy / "00_two"
        run(place, "nbconvert", "--to", "notebook", "--execute", "--output", "done", "00_two.ipynb")
        said = [
            "".join(output["data"]["text/plain"])
            for cell in nbformat.read(place / "done.ipynb", as_version=4).cells
            if "grader.check(" in cell.source
            for output in cell.outputs
        ]
        passed[copy] = [bool(re.search("passed!", text)) for text in said]
    assert passed == {"student": [False, False], "solved": [True, True]}
