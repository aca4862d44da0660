"""One notebook by papermill: what it declares, and what became of it.

A notebook states in its metadata what it needs and what its profiles set:
`"anonlab": {"needs": ["00"], "profiles": {"quick": {...}, "full": {...}}}`.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AnonlabError, UndeclaredMetric
from ..measured import Measured, from_json
from .regression import Comparison, Row

HEADLESS = "ANONLAB_HEADLESS"  # set while papermill runs: no widgets, no progress bars
PLACES = ("OUTPUT", "STATE")  # parameters that say where files go; no number depends on them


class NotebookFailed(AnonlabError):
    """A notebook did not run to its end, cell by cell."""


@dataclass(frozen=True)
class Notebook:
    """What a notebook states about itself, for one profile."""

    path: Path
    declared: dict  # name → default of each parameter; text where it is no literal
    chosen: dict  # what the profile sets
    needs: tuple[str, ...]  # numbers of notebooks

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
    executed: Path | None = None  # the executed notebook; None if it never started
    figures: list[str] = field(default_factory=list)
    comparison: Comparison | None = None  # None without accepted numbers
    earlier_figures: list[str] = field(default_factory=list)  # of the accepted run, if they are here
    changed: list[str] = field(default_factory=list)  # what the accepted run had otherwise

    @property
    def page(self) -> str:
        """The page of the executed notebook, beside it."""
        return f"{self.executed.stem}.html" if self.executed else ""

    @property
    def numbers(self) -> dict[str, object]:
        """The values of the metrics."""
        return {name: one.value for name, one in self.metrics.items()}

    @property
    def failed(self) -> list[Row]:
        """The judged numbers that do not hold."""
        return self.comparison.named("failed") if self.comparison else []


def read_notebook(path: Path, profile: str) -> Notebook:
    """Read parameters and metadata of the notebook `path`."""
    node = json.loads(path.read_text(encoding="utf-8"))
    about = node["metadata"].get("anonlab", {})
    chosen = dict(about.get("profiles", {}).get(profile, {}))
    return Notebook(path, _declared(node), chosen, tuple(about.get("needs", ())))


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


def execute(
    notebook: Notebook, given: dict, target: Path, switches: Mapping[str, str] | None = None
) -> Run:
    """Run `notebook` with the parameters `given`; what it makes goes to the folder `target`.

    `switches` are environment variables of the notebook's kernel, set before any library is loaded.
    Nothing is raised: a failure is the status of the `Run`, and the others go on.
    """
    import papermill

    output, executed = target / notebook.name, target / notebook.path.name
    output.mkdir(parents=True, exist_ok=True)
    one = Run(notebook.name, notebook.parameters(given))
    mine = {name: value for name, value in given.items() if name in notebook.declared}
    print(f"{notebook.name} …", flush=True)
    start = time.monotonic()
    try:
        with _environment({HEADLESS: "1"} | dict(switches or {})):
            done = papermill.execute_notebook(
                str(notebook.path),
                str(executed),
                notebook.chosen | mine | {"OUTPUT": str(output)},
                kernel_name="python3",
                cwd=str(notebook.path.parent),
                progress_bar=sys.stderr.isatty(),
                extra_arguments=["--log-level=ERROR"],  # of the kernel, whose warnings are not ours
            )
        for cell in done.cells:
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
                raise NotebookFailed(f"a cell of {executed.name} was not executed: {cell.source[:80]!r}")
    except papermill.PapermillExecutionError as error:
        told = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        one.status, one.error = "failed", f"{error.ename}: {error.evalue}\n{told}"
    except Exception as error:  # a dead kernel, a broken file: this notebook's failure, not the run's
        one.status, one.error = "failed", f"{type(error).__name__}: {error}"
    one.seconds = time.monotonic() - start
    one.executed = executed if executed.is_file() else None
    one.figures = [str(picture.relative_to(target)) for picture in sorted(output.glob("*.png"))]
    numbers = output / "metrics.json"
    if numbers.is_file():
        try:
            one.metrics = from_json(json.loads(numbers.read_text()))
        except UndeclaredMetric as error:
            one.status, one.error = "failed", f"UndeclaredMetric: {error}"
    elif one.status == "ok":
        one.status, one.error = "failed", f"{executed.name} recorded no metrics"
    return one


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the kernels that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
