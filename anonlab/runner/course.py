"""The course as a browsable book, made of executed notebooks by Jupyter Book, without a network.

What a notebook folds in JupyterLab is folded here, its solutions too, and formulas are typeset by a
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
from collections.abc import Iterable
from pathlib import Path

import nbformat

from ..errors import CourseFailed
from ..files import output_folder
from ..weights.store import notebooks_folder
from .execution import PLACES, read_notebook
from .pages import LINK, MATHJAX, copy_mathjax, links_inside, rewrite_markdown

STATIC = "offline"  # not `_static`: Jupyter Book makes every page load each script in that one


def executed_notebooks(runs: Path, folder: Path | None = None) -> dict[str, Path]:
    """Name → newest executed copy in `runs` of each notebook of `folder`, of those that may be shown.

    These ran to their end with the parameters of the quick profile, so they show samples only: a run on
    somebody's own photos never gets into the course. A notebook that never ran so is not in the answer.
    """
    found: dict[str, Path] = {}
    for path in sorted((folder or notebooks_folder()).glob("[0-9][0-9]_*.ipynb")):
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
) -> list[str]:
    """Build the book of the notebooks in `folder` into `out`; `out/index.html` is its front page.

    Returns the names of notebooks that were not run yet, which are shown without results. Raises
    `CourseFailed` when MathJax is not installed or Jupyter Book does not succeed, and
    `OutputNotWritable`; then an older course stays as it is.
    """
    folder = folder or notebooks_folder()
    executed = executed_notebooks(runs, folder)
    sources = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    out = out.resolve()
    output_folder(out.parent)
    with tempfile.TemporaryDirectory(prefix=".course-", dir=out.parent) as temporary:
        source = Path(temporary) / "source"
        source.mkdir()
        for path in sources:
            node = nbformat.read(executed.get(path.stem, path), as_version=4)
            nbformat.write(page_of(node, sources), source / path.name)
        (source / "index.md").write_text(front_page(folder, sources), encoding="utf-8")
        _copy_pictures(folder, source)
        if not copy_mathjax(source / STATIC / MATHJAX):
            raise CourseFailed('the course needs more packages: pip install "anonlab[dev]"')
        _write_config(source, sources)
        pages = _run_jupyter_book(source, Path(temporary))
        if out.exists():
            shutil.rmtree(out)
        shutil.move(pages, out)
    return [path.stem for path in sources if path.stem not in executed]


def page_of(node: nbformat.NotebookNode, sources: Iterable[Path] = ()) -> nbformat.NotebookNode:
    """Return an executed notebook as the book shows it: folded where JupyterLab folds, solutions folded
    too, without the paths of the machine that ran it, and with links to `sources` only."""
    node, cells = copy.deepcopy(node), []
    for cell in node.cells:
        tags = set(cell.metadata.get("tags", []))
        if "injected-parameters" in tags:
            cell.source = _without_places(cell.source)
            if not cell.source:
                continue
        rewrite_markdown(cell, lambda text: _links_inside(text, sources))
        if cell.cell_type == "markdown":
            if "solution" in tags:
                cell.source = f"::::{{dropdown}} Solution\n{cell.source}\n::::"
        else:
            hidden = cell.metadata.get("jupyter", {})
            if "solution" in tags:
                tags.add("hide-cell")
                cell.metadata["mystnb"] = {"code_prompt_show": "Solution"}
            elif hidden.get("source_hidden"):
                tags.add("hide-input")
            if hidden.get("outputs_hidden"):
                tags.add("hide-output")
        cell.metadata["tags"] = sorted(tags)
        cells.append(cell)
    node.cells = cells
    return node


def front_page(folder: Path, sources: Iterable[Path]) -> str:
    """The notebooks' own README, or a list of them where there is none yet."""
    readme = folder / "README.md"
    if readme.is_file():
        return _links_inside(readme.read_text(encoding="utf-8"), sources)
    listed = "\n".join(f"- [{_title(path)}]({path.name})" for path in sources)
    return f"# anonlab: the course\n\n{listed}\n"


def _without_places(source: str) -> str:
    """Injected parameters without those that say where files go, and without papermill's heading."""
    lines = [
        line
        for line in source.splitlines()
        if line.strip() != "# Parameters" and line.split("=")[0].strip() not in PLACES
    ]
    return "\n".join(lines).strip()


def _links_inside(text: str, sources: Iterable[Path]) -> str:
    """Markdown whose links stay in the book, of which README.md is the front page."""
    text = re.sub(r"\]\((?:\./)?README\.md(#[^)]*)?\)", "](index.md)", text)
    return links_inside(text, {"index.md", *(path.name for path in sources)}, "pictures/")


def _copy_pictures(folder: Path, source: Path) -> None:
    """What the front page and the notebooks' texts show, out of the checkout."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("README.md")]
    for path in folder.glob("[0-9][0-9]_*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    for bang, _, target in LINK.findall("\n".join(texts)):
        if bang and (folder / target).is_file():
            (source / "pictures").mkdir(exist_ok=True)
            shutil.copyfile(folder / target, source / "pictures" / Path(target).name)


def _title(path: Path) -> str:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        found = re.search(r"^# (.+)$", "".join(cell["source"]), re.MULTILINE)
        if found and cell["cell_type"] == "markdown":
            return found[1]
    return path.stem


def _write_config(source: Path, sources: Iterable[Path]) -> None:
    """Jupyter Book's two files; JSON is YAML."""
    config = {
        "title": "anonlab: the course",
        "author": "the anonlab authors",
        "copyright": "",
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off"},
        "parse": {
            "myst_enable_extensions": ["amsmath", "colon_fence", "dollarmath", "html_image", "tasklist"]
        },
        "html": {"use_issues_button": False, "use_repository_button": False},
        "launch_buttons": {"notebook_interface": "jupyterlab", "thebe": False},
        "repository": {"url": ""},
        "sphinx": {
            "config": {
                "html_static_path": [STATIC],
                "mathjax_path": f"{MATHJAX}/tex-chtml.js",
                "html_theme_options": {  # one field for search, and no bar above the page
                    "navbar_start": [],
                    "navbar_center": [],
                    "navbar_end": [],
                    "navbar_persistent": [],
                    "home_page_in_toc": True,
                    "use_download_button": True,
                },
                "html_show_copyright": False,
                "html_last_updated_fmt": "",
                "nb_render_markdown_format": "myst",
                "suppress_warnings": ["myst.header", "mystnb.unknown_mime_type"],
            }
        },
    }
    contents = {
        "format": "jb-book",
        "root": "index",
        "chapters": [{"file": path.stem, "title": _title(path)} for path in sources],
    }
    (source / "_config.yml").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (source / "_toc.yml").write_text(json.dumps(contents, indent=2), encoding="utf-8")


def _run_jupyter_book(source: Path, target: Path) -> Path:
    """The folder of the pages."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", "-q", "--path-output", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pages = target / "_build" / "html"
    if done.returncode or not (pages / "index.html").is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CourseFailed("Jupyter Book did not build the course:\n" + "\n".join(lines[-15:]))
    return pages
