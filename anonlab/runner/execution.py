"""One notebook by papermill: what it declares, and what became of it.

A notebook says in its metadata what it needs and what its profiles set:
`"anonlab": {"needs": ["00"], "profiles": {"quick": {...}, "full": {...}}}`; and, if it likes,
patterns of metrics that are drawn over time as `"trend"`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AnonlabError, UndeclaredMetric
from ..files import atomic_path
from ..measured import Measured, from_json
from .cells import cells_of
from .progress import Progress
from .regression import Comparison, Row
from .trend import Trend

HEADLESS = "ANONLAB_HEADLESS"  # set while papermill runs: no widgets, no progress bars
PAGE = Path(__file__).parent / "templates" / "notebook.html.j2"
PLACES = ("OUTPUT", "STATE")  # parameters that say where files go; no number depends on them


class NotebookFailed(AnonlabError):
    """A notebook did not run to its end, cell by cell."""


@dataclass(frozen=True)
class Notebook:
    """What a notebook says about itself, for one profile."""

    path: Path
    declared: dict  # name → default of each parameter; text where it is no literal
    chosen: dict  # what the profile sets
    needs: tuple[str, ...]  # numbers of notebooks
    trend: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def parameters(self, given: dict) -> dict:
        """All parameters as it will run with them, `given` over the profile's, without `PLACES`."""
        mine = {name: value for name, value in given.items() if name in self.declared}
        every = self.declared | self.chosen | mine
        every = {name: value for name, value in every.items() if name not in PLACES}
        return json.loads(json.dumps(every, default=str))  # as a file remembers them


@dataclass
class Run:
    """What became of one notebook; its paths are relative to the folder of the whole run."""

    name: str
    parameters: dict = field(default_factory=dict)
    status: str = "ok"  # ok, failed, skipped
    seconds: float = 0.0
    error: str = ""
    metrics: dict[str, Measured] = field(default_factory=dict)  # flat
    page: str = ""  # of the executed notebook; "" if it never started
    figures: list[str] = field(default_factory=list)
    cells: dict[str, str] = field(default_factory=dict)  # metric → id of the cell that computed it
    comparison: Comparison | None = None  # None without accepted numbers
    accepted_figures: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # what the accepted run had otherwise
    trends: list[Trend] = field(default_factory=list)

    @property
    def numbers(self) -> dict[str, object]:
        """The values of the metrics."""
        return {name: one.value for name, one in self.metrics.items()}

    @property
    def failed(self) -> list[Row]:
        """The metrics that are worse than their tolerance allows."""
        return self.comparison.named("failed") if self.comparison else []


def read_notebook(path: Path, profile: str) -> Notebook:
    """Parameters and metadata of the notebook `path`."""
    node = json.loads(path.read_text())
    said = node["metadata"].get("anonlab", {})
    lists = [tuple(said.get(name, ())) for name in ("needs", "trend")]
    return Notebook(path, _declared(node), dict(said.get("profiles", {}).get(profile, {})), *lists)


def _declared(node: dict) -> dict:
    """What the cell tagged `parameters` assigns."""
    declared: dict[str, object] = {}
    for cell in node["cells"]:
        if "parameters" not in cell["metadata"].get("tags", []):
            continue
        for line in ast.parse("".join(cell["source"])).body:
            if isinstance(line, ast.Assign | ast.AnnAssign):
                targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                declared |= dict.fromkeys(names, _literal(line.value))
        break
    return declared


def _literal(value: ast.expr | None) -> object:
    try:
        return ast.literal_eval(value) if value else None
    except ValueError:
        return ast.unparse(value)


def execute(notebook: Notebook, given: dict, target: Path, place: str = "") -> Run:
    """Run `notebook` with the parameters `given`; what it makes goes to `target/place`.

    Nothing is raised: its failure is the status of the `Run`, and the others go on.
    """
    import papermill

    from .engine import ENGINE

    folder = target / place
    output, executed = folder / notebook.name, folder / notebook.path.name
    output.mkdir(parents=True)
    one = Run(notebook.name, notebook.parameters(given))
    mine = {name: value for name, value in given.items() if name in notebook.declared}
    start = time.monotonic()
    os.environ[HEADLESS] = "1"
    try:
        with Progress(notebook.name) as progress:
            done = papermill.execute_notebook(
                str(notebook.path),
                str(executed),
                notebook.chosen | mine | {"OUTPUT": str(output)},
                engine_name=ENGINE,
                kernel_name="python3",
                cwd=str(notebook.path.parent),
                progress_bar=False,
                log_output=False,
                extra_arguments=["--log-level=ERROR"],  # the kernel's warnings would cut our lines
                progress=progress,
            )
        for cell in done.cells:
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
                raise NotebookFailed(f"a cell of {executed.name} was not executed: {cell.source[:80]!r}")
    except papermill.PapermillExecutionError as error:
        one.status, one.error = "failed", f"{error.ename}: {error.evalue}\n" + _plain(error.traceback)
    except Exception as error:  # a dead kernel, a broken file: this notebook's failure, not the run's
        one.status, one.error = "failed", f"{type(error).__name__}: {error}"
    finally:
        os.environ.pop(HEADLESS, None)
    one.seconds = time.monotonic() - start
    one.figures = [str(picture.relative_to(target)) for picture in sorted(output.glob("*.png"))]
    numbers = output / "metrics.json"
    if numbers.is_file():
        try:
            one.metrics = from_json(json.loads(numbers.read_text()))
        except UndeclaredMetric as error:
            one.status, one.error = "failed", f"UndeclaredMetric: {error}"
    elif one.status == "ok":
        one.status, one.error = "failed", f"{executed.name} recorded no metrics"
    if executed.is_file():
        one.cells = cells_of(executed, one.metrics)
        _write_page(executed)
        one.page = str(executed.with_suffix(".html").relative_to(target))
    return one


def _plain(lines: list[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def _write_page(executed: Path) -> None:
    """An executed notebook as HTML beside it; what is folded in Jupyter is folded there."""
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter(template_file=str(PAGE)).from_filename(str(executed))
    with atomic_path(executed.with_suffix(".html")) as partial:
        partial.write_text(body)
