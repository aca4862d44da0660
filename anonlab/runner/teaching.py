"""What a class needs of the notebooks: assignments for nbgrader and otter-grader, and slides.

An exercise is one point: its check cell becomes the test, its solution cell the teacher's answer.
"""

from __future__ import annotations

import ast
import copy
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..files import atomic_path, output_folder
from ..weights.store import notebooks_folder
from .course import executed_notebooks
from .execution import notebook_paths, tags_of

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # as nbgrader knows them
NBGRADER = """c = get_config()
c.CourseDirectory.course_id = "anonlab"
c.ClearSolutions.code_stub = {"python": "# your answer goes in place of the dots above"}
c.ExecutePreprocessor.timeout = 1800
"""
OTTER = """OK_FORMAT = True
test = {{"name": "q{0}", "points": 1, "suites": [{{"type": "doctest", "scored": True, "setup": "",
    "teardown": "", "cases": [{{"code": ">>> {1}.right\\nTrue", "hidden": False, "locked": False}}]}}]}}
"""


def answered(exercise: str, check: str, solution: str) -> str:
    """Return an exercise's cell with our answer below the open one.

    The check's last line names the answers and the solution's last line ours: of `check_1(a)` and
    `check_1.solved(b)` comes `a = b`.
    """
    asked, ours = (ast.parse(text).body[-1] for text in (check, solution))
    names, answers = (", ".join(map(ast.unparse, one.value.args)) for one in (asked, ours))
    code = "\n".join(solution.splitlines()[: ours.lineno - 1]).rstrip()
    comma = "," if answers.startswith("*") else ""
    return f"{exercise}\n{BEGIN}\n{code}\n{names} = {answers}{comma}\n{END}".replace(
        "\n\n\n\n", "\n\n\n"
    )


def assignment(node: NotebookNode, tool: str, solved: bool) -> NotebookNode:
    """Return a notebook as an assignment for `tool`, `nbgrader` or `otter`, without its solution cells;
    with `solved` the answers are filled in."""
    node = copy.deepcopy(node)
    tagged = ([c for c in node.cells if tag in tags_of(c)] for tag in ("exercise", "check", "solution"))
    for number, (exercise, check, solution) in enumerate(zip(*tagged, strict=True), 1):
        call = check.source.splitlines()[-1]
        if solved:
            exercise.source = answered(exercise.source, check.source, solution.source)
        if tool == "nbgrader":
            check.source += f"\nassert {call}.right, {call}"
            for cell, kind in ((exercise, "exercise"), (check, "check")):
                graded = kind == "check"
                cell.metadata.nbgrader = {
                    "schema_version": 3, "task": False, "grade": graded, "solution": not graded,
                    "locked": graded, "grade_id": f"{kind}-{number}",
                } | ({"points": 1} if graded else {})  # fmt: skip
        else:
            grade = nbformat.v4.new_code_cell(f'grader.check("q{number}")', id=f"grade-{number}")
            node.cells.insert(node.cells.index(check) + 1, grade)
    node.cells = [cell for cell in node.cells if "solution" not in tags_of(cell)]
    if tool == "otter":
        begin = nbformat.v4.new_code_cell("import otter\n\ngrader = otter.Notebook()", id="otter")
        node.cells.insert(1, begin)
    return node


def write_assignments(out: Path) -> list[Path]:
    """Write the assignments of all notebooks and return their files.

    `out/nbgrader` is a course of nbgrader, whose `source` has the answers that `nbgrader
    generate_assignment` takes out; `out/otter` has a `student` and a `solved` copy of each notebook,
    with its tests beside it. Raises `OutputNotWritable`.
    """
    shutil.rmtree(out / "nbgrader" / "source", ignore_errors=True)
    written = []
    for path in notebook_paths(notebooks_folder()):
        node = nbformat.read(path, as_version=4)
        calls = [cell.source.splitlines()[-1] for cell in node.cells if "check" in tags_of(cell)]
        for place in ("nbgrader/source", "otter/student", "otter/solved"):
            folder, tool = output_folder(out / place / path.stem), place.partition("/")[0]
            made = assignment(node, tool, solved=place != "otter/student")
            nbformat.write(made, folder / path.name)
            written.append(folder / path.name)
            for number, call in enumerate(calls if tool == "otter" else (), 1):
                test = output_folder(folder / "tests") / f"q{number}.py"
                test.write_text(OTTER.format(number, call), encoding="utf-8")
    with atomic_path(out / "nbgrader" / "nbgrader_config.py") as partial:
        partial.write_text(NBGRADER, encoding="utf-8")
    return written


def write_slides(out: Path, runs: Path, reveal: str = "") -> list[Path]:
    """Write slides of the newest executed notebooks in `runs`, made of the cells tagged `slide`, and
    return their files.

    `reveal` is where reveal.js is, a folder or an address; by default nbconvert's, on the network.
    Raises `OutputNotWritable`.
    """
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(exclude_input=True, exclude_output_prompt=True, reveal_scroll=True)
    if reveal:
        exporter.reveal_url_prefix = reveal
    output_folder(out)
    written = []
    for name, path in executed_notebooks(runs).items():
        node = nbformat.read(path, as_version=4)
        node.cells = [cell for cell in node.cells if "slide" in tags_of(cell)]
        node.metadata.pop("widgets", None)
        for cell in node.cells:
            cell.metadata["slideshow"] = {"slide_type": "slide"}
            cell.source = cell.source.replace("../data/", f"{notebooks_folder().parent}/data/")
        written.append(out / f"{name}.slides.html")
        with atomic_path(written[-1]) as partial:
            partial.write_text(exporter.from_notebook_node(node)[0], encoding="utf-8")
    return written
