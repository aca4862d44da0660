"""Run the notebooks by papermill and write one folder that shows what came out.

A notebook says in its metadata what it needs and what its profiles set:
`"anonlab": {"needs": ["00"], "profiles": {"quick": {...}, "full": {...}}}`.
It gets the parameter `OUTPUT`, a folder; `record` and `save_figure` put numbers and pictures there.
"""

from __future__ import annotations

import ast
import html
import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field, make_dataclass
from importlib.metadata import version
from pathlib import Path

from IPython.display import Image
from matplotlib.figure import Figure

from . import weights
from .errors import AnonlabError, UnknownOption
from .photos import atomic_path, write_json

HEADLESS = "ANONLAB_HEADLESS"  # set while papermill runs: no widgets, no progress bars
PACKAGES = ("torch", "torchvision", "captum", "facenet-pytorch", "numpy", "openvino")
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;
border-bottom:1px solid #ddd}.failed,.skipped{color:#b03a2e}.ok{color:#1e7e45}
pre{background:#f6f6f6;padding:1rem;overflow-x:auto;font-size:13px}img{max-width:100%;
border:1px solid #eee;margin:.4rem 0}small{color:#777}
"""


class NotebookFailed(AnonlabError):
    """A notebook did not run to its end, cell by cell."""


@dataclass
class Run:
    """What became of one notebook."""

    name: str
    status: str = "ok"  # ok, failed, skipped
    seconds: float = 0.0
    error: str = ""
    metrics: dict = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)


def headless() -> bool:
    """Whether a notebook is being run by papermill rather than by a person."""
    return bool(os.environ.get(HEADLESS))


def settings(**values: object) -> object:
    """The parameters of a notebook as one frozen dataclass."""
    return make_dataclass("Settings", values, frozen=True)(**values)


def record(output: str | Path, metrics: dict) -> dict:
    """Write a notebook's numbers to `output/metrics.json` and return them."""
    write_json(Path(output) / "metrics.json", metrics)
    return metrics


def save_figure(figure: Figure, output: str | Path, name: str) -> Image:
    """Write a figure to `output/name.png`; the picture that comes back is what a notebook shows.

    (A `Figure` alone is only shown where matplotlib's inline backend was switched on.)
    """
    with atomic_path(Path(output) / f"{name}.png") as partial:
        figure.savefig(partial, format="png", dpi=110)
    return Image(filename=str(Path(output) / f"{name}.png"), width=int(figure.get_figwidth() * 72))


def run(
    profile: str = "quick",
    only: str | None = None,
    out: Path = Path("outputs/runs"),
    parameters: list[str] | tuple[str, ...] = (),
    folder: Path | None = None,
) -> int:
    """Execute the notebooks in order; returns 0 when all of them ran to the end, else 1.

    `only` picks one by its number (its needs are then taken as met); `parameters` are
    `NAME=VALUE`. Raises `UnknownOption` for a notebook or parameter that does not exist.
    """
    folder = folder or weights.notebooks_folder()
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if only:
        paths = [path for path in paths if path.name.startswith(only)]
    if not paths:
        raise UnknownOption(
            f"{folder} has no notebook {only or ''}; see what is there with: ls {folder}"
        )
    given = _parse(parameters)
    declared = {path: set(_declared(path)) for path in paths}
    for name in given:
        if not any(name in names for names in declared.values()):
            raise UnknownOption(f"no notebook declares a parameter {name}; see their parameters cells")
    target = _new_folder(out)
    runs: list[Run] = []
    for path in paths:
        settings = _settings(path, profile)
        unknown = sorted(set(settings) - declared[path])
        mine = {name: value for name, value in given.items() if name in declared[path]}
        done = {one.name[:2]: one.status for one in runs}
        broken = [need for need in _metadata(path).get("needs", []) if done.get(need, "ok") != "ok"]
        print(f"{path.stem} …", end=" ", flush=True)
        one = Run(path.stem)
        if unknown:
            one.status = "failed"
            one.error = (
                f"profile {profile} sets {', '.join(unknown)}, which the notebook does not declare"
            )
        elif broken:
            one.status, one.error = "skipped", f"needs {', '.join(broken)}, which did not run"
        else:
            _execute(path, target, settings | mine, one)
        print(f"{one.status} ({one.seconds:.0f} s)", flush=True)
        runs.append(one)
        _write_summary(target, profile, runs)
    print(f"report: {target / 'index.html'}")
    return 0 if all(one.status == "ok" for one in runs) else 1


def _metadata(path: Path) -> dict:
    return json.loads(path.read_text())["metadata"].get("anonlab", {})


def _settings(path: Path, profile: str) -> dict:
    profiles = _metadata(path).get("profiles", {})
    if profile not in ("quick", "full"):
        raise UnknownOption(f"profile {profile!r} does not exist; choose quick or full")
    return dict(profiles.get(profile, {}))


def _declared(path: Path) -> list[str]:
    """Names assigned in the cell tagged `parameters`."""
    for cell in json.loads(path.read_text())["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            body = ast.parse("".join(cell["source"])).body
            targets = [
                node.targets if isinstance(node, ast.Assign) else [node.target]
                for node in body
                if isinstance(node, (ast.Assign, ast.AnnAssign))
            ]
            return [name.id for group in targets for name in group if isinstance(name, ast.Name)]
    return []


def _parse(parameters: list[str] | tuple[str, ...]) -> dict:
    parsed = {}
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise UnknownOption(f"parameter {text!r} is not of the form NAME=VALUE")
        try:
            parsed[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed


def _new_folder(out: Path) -> Path:
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(100):
        folder = out.resolve() / (name if not number else f"{name}-{number}")
        if not folder.exists():
            folder.mkdir(parents=True)
            return folder
    raise NotebookFailed(f"{out} is full of runs of this second; try again")


def _execute(path: Path, target: Path, parameters: dict, one: Run) -> None:
    import papermill

    output = target / path.stem
    output.mkdir()
    executed = target / path.name
    start = time.monotonic()
    os.environ[HEADLESS] = "1"
    try:
        notebook = papermill.execute_notebook(
            str(path),
            str(executed),
            parameters | {"OUTPUT": str(output)},
            kernel_name="python3",
            cwd=str(path.parent),
            progress_bar=False,
            log_output=False,
            extra_arguments=["--log-level=ERROR"],  # the kernel's warnings would cut our lines
        )
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
                raise NotebookFailed(f"a cell of {path.name} was not executed: {cell.source[:80]!r}")
    except papermill.PapermillExecutionError as error:
        one.status, one.error = "failed", f"{error.ename}: {error.evalue}\n" + _plain(error.traceback)
    except Exception as error:  # a dead kernel, a broken file: this notebook's failure, not the run's
        one.status, one.error = "failed", f"{type(error).__name__}: {error}"
    finally:
        os.environ.pop(HEADLESS, None)
    one.seconds = time.monotonic() - start
    one.figures = [f"{path.stem}/{figure.name}" for figure in sorted(output.glob("*.png"))]
    numbers = output / "metrics.json"
    if numbers.is_file():
        one.metrics = json.loads(numbers.read_text())
    elif one.status == "ok":
        one.status, one.error = "failed", f"{path.name} recorded no metrics"
    if executed.is_file():
        _write_page(executed)


def _plain(lines: list[str]) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def _write_page(executed: Path) -> None:
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_filename(str(executed))
    with atomic_path(executed.with_suffix(".html")) as partial:
        partial.write_text(body)


def provenance() -> dict:
    """Commit, packages, weights and machine: what a number depends on."""
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    keys = [key for key, weight in weights.WEIGHTS.items() if not weight.optional]
    used = {key: weights.expected_sha256(key) for key in keys if weights.path_of(key).is_file()}
    return {
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "weights": used,
        "cores": os.cpu_count(),
    }


def _write_summary(target: Path, profile: str, runs: list[Run]) -> None:
    """`metrics.json` and `index.html`, after every notebook, so that a run can be watched."""
    summary = {
        "profile": profile,
        "provenance": provenance(),
        "notebooks": {
            one.name: {
                "status": one.status,
                "seconds": round(one.seconds, 1),
                "error": one.error or None,
                "metrics": one.metrics,
            }
            for one in runs
        },
    }
    write_json(target / "metrics.json", summary)
    rows = "".join(
        f"<tr><td><a href='{one.name}.html'>{one.name}</a></td><td class='{one.status}'>{one.status}"
        f"</td><td>{one.seconds:.0f} s</td></tr>"
        for one in runs
    )
    sections = "".join(_section(one) for one in runs)
    page = (
        f"<!doctype html><meta charset='utf-8'><title>anonlab run {target.name}</title>"
        f"<style>{STYLE}</style><h1>anonlab run {target.name}</h1>"
        f"<p>Profile <b>{profile}</b>, commit {summary['provenance']['commit'] or 'unknown'}, "
        f"<a href='metrics.json'>metrics.json</a></p>"
        f"<table><tr><th>notebook</th><th>status</th><th>time</th></tr>{rows}</table>{sections}"
    )
    with atomic_path(target / "index.html") as partial:
        partial.write_text(page)


def _section(one: Run) -> str:
    numbers = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(_number(value))}</td></tr>"
        for name, value in one.metrics.items()
    )
    error = f"<pre>{html.escape(one.error)}</pre>" if one.error else ""
    figures = "".join(f"<p><img src='{name}' alt='{name}'></p>" for name in one.figures)
    return f"<h2>{one.name}</h2>{error}<table>{numbers}</table>{figures}"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
