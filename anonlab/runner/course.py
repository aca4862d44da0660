"""What a class needs: the course as a book, assignments for nbgrader and otter-grader, and slides.

The book is made of executed notebooks by Jupyter Book. What a notebook's tags fold is folded there, its
solutions too, and formulas are typeset by a MathJax that lies beside the pages: nothing is loaded from a
network. An exercise is one point of an assignment: its check cell becomes the test, its solution cell
the teacher's answer.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..errors import AnonlabError
from ..files import atomic_path, output_folder
from ..weights.store import notebooks_folder
from .execution import PLACES, notebook_paths, read_notebook, tags_of
from .pages import (
    MATHJAX,
    TEMPLATES,
    copy_mathjax,
    links_inside,
    rewrite_markdown,
    write_exported,
)

HIDDEN = ("#", *PLACES)  # of injected parameters: papermill's heading, and where files went
TURNING = "turning"  # pictures of the explorer
TEACHING = "TEACHING.md"  # a page of its own, after the notebooks
STATIC = "offline"  # not `_static`: Jupyter Book makes every page load each script in that one
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


class CourseFailed(AnonlabError):
    """The browsable course could not be built, or would load something from the network."""


def executed_notebooks(runs: Path) -> dict[str, Path]:
    """Map each notebook's name to its newest executed copy in `runs`, of those that may be shown.

    These ran to their end with the parameters of the quick profile, so they show samples only: a run on
    a user's own photos never gets into the course. A notebook that never ran so is not in the answer.
    """
    found: dict[str, Path] = {}
    for path in notebook_paths(notebooks_folder()):
        wanted = read_notebook(path, "quick").parameters({})
        for run in sorted(runs.glob("*/metrics.json"), reverse=True):
            try:
                said = json.loads(run.read_text())["notebooks"].get(path.stem)
            except (OSError, ValueError, KeyError):
                continue  # a run that was stopped while it wrote
            copied = run.parent / path.name
            if said and said["status"] == "ok" and said["parameters"] == wanted and copied.is_file():
                found[path.stem] = copied
                break
    return found


def build_course(runs: Path, out: Path, turning: Callable[[Path], str]) -> list[str]:
    """Build the book of the notebooks and their README.md into `out`; its front page is
    `out/index.html`.

    `turning` writes pictures into a folder that it makes, and returns HTML that shows them where a
    notebook has the explorer's panel, which needs a kernel.

    Returns the names of notebooks that were not run yet, which are shown without results. Raises
    `CourseFailed` when MathJax is not installed or Jupyter Book does not succeed, and
    `OutputNotWritable`; then an older course stays as it is.
    """
    folder, executed = notebooks_folder(), executed_notebooks(runs)
    names = [path.name for path in notebook_paths(folder)]
    out = output_folder(out.resolve().parent) / out.name
    with tempfile.TemporaryDirectory(prefix=".course-", dir=out.parent) as temporary:
        source = Path(temporary) / "source"
        source.mkdir()
        with contextlib.suppress(FileNotFoundError):  # an installed copy has no pictures
            shutil.copytree(folder.parent / "data" / "pictures", source / "pictures")
        for name in names:
            node = nbformat.read(executed.get(Path(name).stem, folder / name), as_version=4)
            page = page_of(node, [*names, TEACHING])
            panel = next((cell for cell in page.cells if "explorer.panel" in cell.source.split()), None)
            if panel:
                html = turning(Path(temporary) / TURNING)
                shown = nbformat.v4.new_markdown_cell(f"````{{raw}} html\n{html}\n````")
                page.cells.insert(page.cells.index(panel) + 1, shown)
            nbformat.write(page, source / name)
        for text, page in (("README.md", "index.md"), (TEACHING, TEACHING)):
            read = (folder / text).read_text(encoding="utf-8")
            (source / page).write_text(in_the_book(read, [*names, TEACHING]), encoding="utf-8")
        if not copy_mathjax(source / STATIC / MATHJAX):
            raise CourseFailed('the course needs more packages: pip install "anonlab[dev]"')
        for name, target in (("course.yml", "_config.yml"), ("toc.yml", "_toc.yml"),
                             ("course.css", f"{STATIC}/course.css")):  # fmt: skip
            shutil.copyfile(TEMPLATES / name, source / target)
        pages = _run_jupyter_book(source, Path(temporary))
        if (Path(temporary) / TURNING).exists():
            shutil.move(Path(temporary) / TURNING, pages / TURNING)
        if out.exists():
            shutil.rmtree(out)
        shutil.move(pages, out)
    return [Path(name).stem for name in names if Path(name).stem not in executed]


def page_of(node: NotebookNode, names: Collection[str]) -> NotebookNode:
    """Make an executed notebook what the book shows: folded where tags say so, solutions with what
    they show, without paths of the machine that ran it, and with links to the notebooks `names` only."""
    for cell in node.cells:
        tags = tags_of(cell)
        if "injected-parameters" in tags:
            told = [line for line in cell.source.splitlines() if line.partition(" ")[0] not in HIDDEN]
            cell.source = "\n".join(told)
        rewrite_markdown(cell, lambda text: in_the_book(text, names))
        if "solution" in tags:
            tags.add("hide-cell")
        folded = next((one for one in ("solution", "check") if one in tags), "code")
        cell.metadata["mystnb"] = {"code_prompt_show": folded.capitalize()}
        for output in cell.get("outputs", ()):
            about = output.get("metadata", {})
            for kind in ("image/png", "image/jpeg"):
                if alt := about.get(kind, {}).get("alt"):
                    cell.metadata["mystnb"]["image"] = {"alt": alt}
        cell.metadata["tags"] = sorted(tags)
    node.cells = [cell for cell in node.cells if cell.source]
    return node


def in_the_book(text: str, names: Collection[str]) -> str:
    """Return markdown whose links, with their anchors, stay in the book; README.md is its front page."""
    text = re.sub(r"\]\((?:\./)?README\.md(#[^)]*)?\)", r"](index.md\1)", text)
    return links_inside(text, {"index.md", *names}, "pictures/")


def _run_jupyter_book(source: Path, target: Path) -> Path:
    """Build the pages; return their folder."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", "-q", "--path-output", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pages = target / "_build" / "html"
    if done.returncode or not (pages / "index.html").is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CourseFailed("Jupyter Book did not build the course:\n" + "\n".join(lines[-15:]))
    return pages


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


def write_slides(out: Path, runs: Path) -> list[Path]:
    """Write slides of the newest executed notebooks in `runs`, made of the cells tagged `slide`, and
    return their files. They take reveal.js from the network. Raises `OutputNotWritable`."""
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(exclude_input=True, exclude_output_prompt=True, embed_images=True)
    written = []
    for name, path in executed_notebooks(runs).items():
        node = nbformat.read(path, as_version=4)
        node.cells = [cell for cell in node.cells if "slide" in tags_of(cell)]
        node.metadata.pop("widgets", None)
        for cell in node.cells:
            cell.metadata["slideshow"] = {"slide_type": "slide"}
        written.append(out / f"{name}.slides.html")
        write_exported(exporter, node, notebooks_folder(), written[-1])
    return written
