"""Pages of a run: the index with its three answers, and every executed notebook. None needs a network.

What the index looks like is in `templates/` (Jinja2, with autoescape); what it says is worked out here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from ..files import atomic_path
from .execution import Run
from .regression import VERDICTS, brief

LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?!https?://|#|mailto:|attachment:)([^)\s]+)\)")
MATHJAX = "mathjax"  # the folder of it beside the pages
PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # of MathJax: all that formulas in TeX need
TEMPLATES = Path(__file__).parent / "templates"


def answers(runs: Sequence[Run]) -> list[tuple[str, bool | None, str]]:
    """Answer the three questions of a run: (question, whether all is well or None, answer in words)."""
    broken = [one for one in runs if one.status != "ok"]
    held = [one for one in runs if one.rows is not None]
    judged = [row for one in held for row in one.rows if row.verdict != "shown"]
    failed = sum(row.verdict == "failed" for row in judged)
    minutes = max(1, round(sum(one.seconds for one in runs) / 60))
    many = f"{len(runs)} notebook{'s' * (len(runs) != 1)}"
    ran = f"Yes: {many} ran to the end in about {minutes} min."
    if broken:
        reasons = [f"{one.name[:2]} {one.status} ({one.error.splitlines()[0]})" for one in broken]
        ran = f"No: {'; '.join(reasons)}."
    kept = f"Yes: all {len(judged)} judged numbers hold." if judged else "Not compared."
    if failed:
        kept = f"No: {failed} of {len(judged)} judged numbers do not hold."
    if left := len(runs) - len(held) - len(broken):
        kept += f" Without accepted numbers for these parameters: {left} of {many}."
    next_step = "Nothing."
    if broken:
        next_step = "Open the page of the first notebook that failed: its last cell shows the error."
    elif failed:
        only = ",".join(one.name[:2] for one in held if one.named("failed"))
        next_step = (
            "See what is not as in the accepted run: weights (python -m anonlab doctor), machine and "
            "packages (then a tolerance is too narrow), or the code. If the change was meant, accept "
            f"it: python -m anonlab run --accept --only {only}"
        )
    return [
        ("Did everything run?", not broken, ran),
        ("Are anonlab's own numbers as accepted?", not failed if judged else None, kept),
        ("What to do next?", not (broken or failed), next_step),
    ]


def write_index(target: Path, profile: str, commit: str | None, runs: Sequence[Run]) -> None:
    """Write `target/index.html`: three answers, what moved, all numbers, all pictures."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"brief": brief, "stem": lambda path: Path(path).stem}
    page = made.get_template("index.html").render(
        title=f"anonlab run {target.name}", answers=answers(runs), profile=profile, commit=commit,
        runs=runs, verdicts=VERDICTS,
    )  # fmt: skip
    with atomic_path(target / "index.html") as partial:
        partial.write_text(page, encoding="utf-8")


def write_page(executed: Path, source: Path, pages: Collection[str]) -> None:
    """Write an executed notebook as HTML beside it; what is folded in Jupyter is folded there.

    Pictures of its texts are looked for in the folder `source` and become part of the page. A link leads
    to one of `pages`, or becomes plain words. MathJax lies beside the pages, where it is installed.
    """
    node = nbformat.read(executed, as_version=4)
    for cell in node.cells:
        rewrite_markdown(cell, lambda text: links_inside(text, pages))
    node.metadata.pop("widgets", None)  # a run makes none
    exporter = HTMLExporter(template_file=str(TEMPLATES / "notebook.html.j2"), embed_images=True)
    exporter.mathjax_url = f"{MATHJAX}/{PARTS[0]}" if copy_mathjax(executed.parent / MATHJAX) else ""
    write_exported(exporter, node, source, executed.with_suffix(".html"))


def write_exported(exporter: HTMLExporter, node: NotebookNode, source: Path, page: Path) -> None:
    """Write a notebook as nbconvert's `exporter` shows it, pictures of the folder `source` inside."""
    about = {"metadata": {"name": page.stem, "path": str(source)}}
    with atomic_path(page) as partial:
        partial.write_text(exporter.from_notebook_node(node, resources=about)[0], encoding="utf-8")


def rewrite_markdown(cell: NotebookNode, rewrite: Callable[[str], str]) -> None:
    """Rewrite a cell's markdown where it stands: in its source, or in what its code displayed."""
    if cell.cell_type == "markdown":
        cell.source = rewrite(cell.source)
    for output in cell.get("outputs", ()):
        shown = output.get("data", {})
        if "text/markdown" in shown:
            shown["text/markdown"] = rewrite(shown["text/markdown"])


def links_inside(text: str, pages: Collection[str], pictures: str = "") -> str:
    """Return markdown whose links lead to one of `pages` (`00_one.html` or `.ipynb`) or to nothing.

    With `pictures` these are looked for in that folder.
    """

    def moved(found: re.Match) -> str:
        bang, words, target = found.groups()
        if bang:
            return f"![{words}]({pictures}{Path(target).name})" if pictures else found[0]
        path, hash_, place = target.partition("#")
        for page in (f"{Path(path).stem}.html", Path(path).name):
            if page in pages:
                return f"[{words}]({page}{hash_}{place})"
        named = f"`{target.removeprefix('../')}`"
        return named if words in named else f"{words} ({named})"

    return LINK.sub(moved, text)


def copy_mathjax(target: Path) -> bool:
    """Copy what pages need of MathJax into the folder `target`; False where it is not installed."""
    if find_spec("mathjax") is None:
        return False
    origin = files("mathjax") / "static" / "mathjax" / "es5"
    if not (target / PARTS[0]).is_file():
        shutil.copytree(str(origin / PARTS[1]), target / PARTS[1], dirs_exist_ok=True)
        shutil.copyfile(str(origin / PARTS[0]), target / PARTS[0])
    return True
