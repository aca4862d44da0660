"""One notebook by papermill: what it declares, and what became of it.

A notebook states in its metadata what it needs and what its profiles set:
`"anonlab": {"needs": ["00"], "profiles": {"quick": {...}, "full": {...}}}`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import nbformat

from ..errors import UnknownOption
from ..notebook.measured import Measured, from_json
from ..notebook.record import HEADLESS
from .regression import Row

PLACES = ("OUTPUT", "STATE")  # parameters that say where files go; no number depends on them
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal


@dataclass(frozen=True)
class Notebook:
    """Hold what a notebook states about itself, for one profile."""

    path: Path
    declared: dict  # name → default of each parameter; text where it is no literal
    chosen: dict  # what the profile sets
    needs: tuple[str, ...]  # numbers of notebooks

    def parameters(self, given: dict) -> dict:
        """Return all parameters of a run, `given` over the profile's, without `PLACES`."""
        own = self.declared | self.chosen
        every = {name: given.get(name, own[name]) for name in own if name not in PLACES}
        return json.loads(json.dumps(every, default=str))  # as a file remembers them


@dataclass
class Run:
    """Tell what became of one notebook; its paths are relative to the folder of the whole run."""

    name: str
    parameters: dict = field(default_factory=dict)
    status: str = "ok"  # ok, failed, skipped
    seconds: float = 0.0
    error: str = ""
    metrics: dict[str, Measured] = field(default_factory=dict)  # flat
    page: str = ""  # of the executed notebook, beside it; "" if it never started
    figures: list[str] = field(default_factory=list)
    rows: list[Row] | None = None  # None where nothing was compared
    differing: list[str] = field(default_factory=list)  # parameters that are not the accepted ones
    changed: list[str] = field(default_factory=list)  # what the accepted run had otherwise

    @property
    def numbers(self) -> dict[str, object]:
        """The values of the metrics."""
        return {name: one.value for name, one in self.metrics.items()}

    def named(self, verdict: str) -> list[Row]:
        """Return the compared numbers with this verdict."""
        return [row for row in self.rows or () if row.verdict == verdict]


def tags_of(cell: nbformat.NotebookNode) -> set[str]:
    """Return a cell's tags."""
    return {*cell.metadata.get("tags", [])}


def notebook_paths(folder: Path) -> list[Path]:
    """List the notebooks of a folder, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def read_notebook(path: Path, profile: str) -> Notebook:
    """Read parameters and metadata of the notebook `path`."""
    import papermill

    about = nbformat.read(path, as_version=4).metadata.get("anonlab", {})
    defaults = papermill.inspect_notebook(str(path))
    declared = {name: literal(one["default"]) for name, one in defaults.items()}
    chosen = about.get("profiles", {}).get(profile, {})
    return Notebook(path, declared, dict(chosen), tuple(about.get("needs", ())))


def literal(text: str) -> object:
    """Return the value of a Python literal; the text itself where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def execute(notebook: Notebook, given: dict, target: Path, switches: Mapping[str, str]) -> Run:
    """Run `notebook` with those of the parameters `given` that it declares; what it makes goes to the
    folder `target`.

    `switches` are environment variables of the notebook's kernel, set before any library is loaded.
    Nothing is raised: a failure is the status of the `Run`, and the others go on.
    """
    import papermill

    output, executed = target / notebook.path.stem, target / notebook.path.name
    output.mkdir(parents=True, exist_ok=True)
    one = Run(notebook.path.stem, notebook.parameters(given), status="failed")
    own = {name: value for name, value in given.items() if name in notebook.declared}
    print(f"{notebook.path.stem} …", flush=True)
    start = time.monotonic()
    try:
        unknown = ", ".join(sorted(notebook.chosen.keys() - notebook.declared.keys()))
        if unknown:
            raise UnknownOption(f"the profile sets {unknown}, which the notebook does not declare")
        with patch.dict(os.environ, {HEADLESS: "1"} | dict(switches)):
            done = papermill.execute_notebook(
                str(notebook.path),
                str(executed),
                notebook.chosen | own | {"OUTPUT": str(output)},
                kernel_name="python3",
                cwd=str(notebook.path.parent),
                progress_bar=sys.stderr.isatty(),
                extra_arguments=["--log-level=ERROR"],  # of the kernel, whose warnings are not ours
            )
        code = [cell for cell in done.cells if cell.cell_type == "code" and cell.source.strip()]
        skipped = [cell.source[:80] for cell in code if cell.execution_count is None]
        if skipped:
            one.error = f"a cell of {executed.name} was not executed: {skipped[0]!r}"
        elif not (output / "metrics.json").is_file():
            one.error = f"{executed.name} recorded no metrics"
        else:
            one.metrics = from_json(json.loads((output / "metrics.json").read_text()))
            one.status = "ok"
    except papermill.PapermillExecutionError as error:
        told = COLOURS.sub("", "\n".join(error.traceback))
        one.error = f"{error.ename}: {error.evalue}\n{told}"
    except Exception as error:  # a dead kernel, a broken file: this notebook's failure, not the run's
        one.error = f"{type(error).__name__}: {error}"
    one.seconds = time.monotonic() - start
    one.page = f"{notebook.path.stem}.html" if executed.is_file() else ""
    one.figures = [str(picture.relative_to(target)) for picture in sorted(output.glob("*.png"))]
    return one
