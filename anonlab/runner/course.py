"""The course as a browsable book, made of executed notebooks by Jupyter Book, without a network.

What a notebook's tags fold is folded here, its solutions too, and formulas are typeset by a
MathJax that lies beside the pages. Nothing in a page is loaded from elsewhere.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import nbformat

from ..errors import CourseFailed
from ..files import output_folder
from ..weights.store import notebooks_folder
from .execution import PLACES, notebook_paths, read_notebook, tags_of
from .pages import LINK, MATHJAX, TEMPLATES, copy_mathjax, links_inside, rewrite_markdown

HIDDEN = ("#", *PLACES)  # of injected parameters: papermill's heading, and where files went
TURNING = "turning"  # pictures of the explorer
TEACHING = "TEACHING.md"  # a page of its own, after the notebooks
STATIC = "offline"  # not `_static`: Jupyter Book makes every page load each script in that one


def executed_notebooks(runs: Path, folder: Path | None = None) -> dict[str, Path]:
    """Name → newest executed copy in `runs` of each notebook of `folder`, of those that may be shown.

    These ran to their end with the parameters of the quick profile, so they show samples only: a run on
    a user's own photos never gets into the course. A notebook that never ran so is not in the answer.
    """
    found: dict[str, Path] = {}
    for path in notebook_paths(folder or notebooks_folder()):
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


def build_course(
    runs: Path = Path("outputs/runs"),
    out: Path = Path("outputs/course"),
    folder: Path | None = None,
    turning: Callable[[Path], str] | None = None,
) -> list[str]:
    """Build the book of the notebooks and README.md in `folder` into `out`; its front page is
    `out/index.html`.

    `turning` writes pictures into a folder that it makes, and returns HTML that shows them where a
    notebook has the explorer's panel, which needs a kernel.

    Returns the names of notebooks that were not run yet, which are shown without results. Raises
    `CourseFailed` when MathJax is not installed or Jupyter Book does not succeed, and
    `OutputNotWritable`; then an older course stays as it is.
    """
    folder = folder or notebooks_folder()
    executed = executed_notebooks(runs, folder)
    names = [path.name for path in notebook_paths(folder)]
    out = out.resolve()
    output_folder(out.parent)
    with tempfile.TemporaryDirectory(prefix=".course-", dir=out.parent) as temporary:
        source = Path(temporary) / "source"
        (source / "pictures").mkdir(parents=True)
        shown = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.*"))
        for bang, _, target in LINK.findall(shown):
            if bang and (folder / target).is_file():
                shutil.copyfile(folder / target, source / "pictures" / Path(target).name)
        for name in names:
            node = nbformat.read(executed.get(Path(name).stem, folder / name), as_version=4)
            page = page_of(node, [*names, TEACHING])
            panel = next((cell for cell in page.cells if "explorer.panel" in cell.source.split()), None)
            if panel and turning:
                html = turning(Path(temporary) / TURNING)
                shown = nbformat.v4.new_markdown_cell(f"````{{raw}} html\n{html}\n````")
                page.cells.insert(page.cells.index(panel) + 1, shown)
            nbformat.write(page, source / name)
        for text, page in (("README.md", "index.md"), (TEACHING, TEACHING)):
            read = (folder / text).read_text(encoding="utf-8")
            (source / page).write_text(in_the_book(read, [*names, TEACHING]), encoding="utf-8")
        if not copy_mathjax(source / STATIC / MATHJAX):
            raise CourseFailed('the course needs more packages: pip install "anonlab[dev]"')
        shutil.copyfile(TEMPLATES / "course.css", source / STATIC / "course.css")
        _write_config(source, [*names, TEACHING])
        pages = _run_jupyter_book(source, Path(temporary))
        if (Path(temporary) / TURNING).exists():
            shutil.move(Path(temporary) / TURNING, pages / TURNING)
        if out.exists():
            shutil.rmtree(out)
        shutil.move(pages, out)
    return [Path(name).stem for name in names if Path(name).stem not in executed]


def page_of(node: nbformat.NotebookNode, names: Collection[str] = ()) -> nbformat.NotebookNode:
    """Return an executed notebook as the book shows it: folded where tags say so, solutions with what
    they show, without paths of the machine that ran it, and with links to the notebooks `names` only."""
    node = copy.deepcopy(node)
    for cell in node.cells:
        tags = tags_of(cell)
        if "injected-parameters" in tags:
            told = [line for line in cell.source.splitlines() if line.partition(" ")[0] not in HIDDEN]
            cell.source = "\n".join(told)
        rewrite_markdown(cell, lambda text: in_the_book(text, names))
        if "solution" in tags:
            tags.add("hide-cell")
            cell.metadata["mystnb"] = {"code_prompt_show": "Solution"}
        for output in cell.get("outputs", ()):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | {"image": {"alt": alt}}
        cell.metadata["tags"] = sorted(tags)
    node.cells = [cell for cell in node.cells if cell.source]
    return node


def in_the_book(text: str, names: Collection[str]) -> str:
    """Return markdown whose links, with their anchors, stay in the book; README.md is its front page."""
    text = re.sub(r"\]\((?:\./)?README\.md(#[^)]*)?\)", r"](index.md\1)", text)
    return links_inside(text, {"index.md", *names}, "pictures/")


def _write_config(source: Path, names: Iterable[str]) -> None:
    """Write Jupyter Book's two files; JSON is YAML."""
    shutil.copyfile(TEMPLATES / "course.yml", source / "_config.yml")
    chapters = [{"file": Path(name).stem} for name in names]
    contents = {"format": "jb-book", "root": "index", "chapters": chapters}
    (source / "_toc.yml").write_text(json.dumps(contents, indent=2), encoding="utf-8")


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
