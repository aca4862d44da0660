"""Run the notebooks by papermill and write one folder that shows what came out.

A notebook gets the parameter `OUTPUT`, a folder; `record` and `save_figure` put numbers and pictures
there. The numbers are held to those that were accepted (see `regression`).
"""

from __future__ import annotations

import ast
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path

from IPython.display import Image
from matplotlib.figure import Figure

from ..errors import InputMissing, UnknownOption
from ..files import atomic_path, output_folder, write_json
from ..measured import to_json
from ..provenance import changes, provenance
from ..weights import store
from . import regression
from .execution import HEADLESS, Notebook, NotebookFailed, Run, execute, read_notebook
from .pages import index_page, verdict
from .regression import Accepted
from .thumbnails import SUFFIX, write_thumbnails
from .trend import read_past, trends

ACCEPTED = "accepted"  # the folder in a run's own that holds the pictures it was compared with


def headless() -> bool:
    """Whether a notebook is being run by papermill rather than by a person."""
    return bool(os.environ.get(HEADLESS))


def settings(**values: object) -> object:
    """The parameters of a notebook as one frozen dataclass."""
    return make_dataclass("Settings", values, frozen=True)(**values)


def record(output: str | Path, metrics: dict) -> dict:
    """Write a notebook's numbers to `output/metrics.json` and return their values, flat.

    Each says which way is better: `{"ssim": higher(0.9), "seconds": shown(3.2)}`, see
    `anonlab.measured`. Raises `UndeclaredMetric`.
    """
    recorded = to_json(metrics)
    write_json(Path(output) / "metrics.json", recorded)
    return {name: one["value"] for name, one in recorded.items()}


def save_figure(figure: Figure, output: str | Path, name: str) -> Image:
    """Write a figure to `output/name.png`; the picture that comes back is what a notebook shows.

    (A `Figure` alone is only shown where matplotlib's inline backend was switched on.)
    """
    with atomic_path(Path(output) / f"{name}.png") as partial:
        figure.savefig(partial, format="png", dpi=110)
    return Image(filename=str(Path(output) / f"{name}.png"), width=int(figure.get_figwidth() * 72))


@dataclass(frozen=True)
class _Report:
    """What is the same for all notebooks of a run."""

    profile: str
    target: Path  # the folder of this run, in the folder of all runs
    accepted: Path
    accept: bool
    seeds: tuple[int, ...]
    given: dict  # parameters of the command line
    provenance: dict

    def numbers(self, notebook: Notebook) -> Path:
        """The file of the accepted numbers."""
        return self.accepted / f"{notebook.name}-{self.profile}.json"

    def pictures(self, notebook: Notebook) -> Path:
        """The folder of the accepted pictures, beside them."""
        return self.accepted / f"{notebook.name}-{self.profile}"

    def shows_nobody(self, notebook: Notebook) -> bool:
        """Whether its pictures may be kept in the repository: they show samples only.

        The quick profile does (a test holds it); what other parameters show, nobody can tell.
        """
        return self.profile == "quick" and not set(self.given) & set(notebook.declared)


def run(
    profile: str = "quick",
    only: str | None = None,
    out: Path = Path("outputs/runs"),
    parameters: Sequence[str] = (),
    folder: Path | None = None,
    accepted: Path | None = None,
    accept: bool = False,
    seeds: Sequence[int] = (),
) -> int:
    """Execute the notebooks in order and hold their numbers to the accepted ones.

    Returns 0 when all of them ran to the end and no metric failed, else 1. `only` picks one
    notebook by its number (its needs are then taken as met); `parameters` are `NAME=VALUE`;
    `accepted` is the folder of `<notebook>-<profile>.json`, by default `tests/accepted` beside the
    notebooks' folder. With `accept` this run's numbers and thumbnails of its pictures go there
    instead; with `seeds` as well, each notebook with a parameter SEED runs once a seed, which gives
    the tolerances. Raises `UnknownOption` for a notebook, parameter or combination that does not
    exist, `InputMissing` for a folder without notebooks, `DamagedAccepted`, `UndeclaredMetric`, and
    `OutputNotWritable`.
    """
    if profile not in ("quick", "full"):
        raise UnknownOption(f"profile {profile!r} does not exist; choose quick or full")
    folder = folder or store.notebooks_folder()
    accepted = accepted or folder.resolve().parent / "tests" / "accepted"
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    notebooks = [read_notebook(path, profile) for path in paths if path.name.startswith(only or "")]
    if not paths:
        raise InputMissing(f"{folder} has no notebooks; run from the repository, or install it again")
    if not notebooks:
        raise UnknownOption(f"{folder} has no notebook {only}; see what is there with: ls {folder}")
    given = _parse(parameters)
    for name in [*given, *(["SEED"] if seeds else [])]:
        if not any(name in notebook.declared for notebook in notebooks):
            raise UnknownOption(f"no notebook declares a parameter {name}; see their parameters cells")
    if seeds and (not accept or "SEED" in given or not 1 < len(set(seeds)) == len(seeds)):
        raise UnknownOption(
            "--seeds takes two or more different seeds, with --accept and without -p SEED=…"
        )
    for notebook in notebooks:  # a damaged one is reported before the work, not after it
        regression.read_accepted(accepted / f"{notebook.name}-{profile}.json")
    used = [notebook.parameters(given).get("SEED") for notebook in notebooks]
    origin = provenance(seeds=seeds or dict.fromkeys(seed for seed in used if isinstance(seed, int)))
    report = _Report(profile, _new_folder(out), accepted, accept, tuple(seeds), given, origin)
    runs: list[Run] = []
    for notebook in notebooks:
        broken = {one.name[:2] for one in runs if one.status != "ok"} & set(notebook.needs)
        runs.append(_one(report, notebook, sorted(broken)))
        _write_summary(report, notebooks, runs)
    print(verdict(runs, accept))
    print(f"report: {report.target / 'index.html'}")
    failed = any(one.status != "ok" or (not accept and one.failed) for one in runs)
    return 1 if failed else 0


def _one(report: _Report, notebook: Notebook, broken: list[str]) -> Run:
    """Run one notebook, hold it to what was accepted or accept it, and say so in lines."""
    unknown = sorted(set(notebook.chosen) - set(notebook.declared))
    if unknown or broken:
        one = Run(notebook.name, status="failed" if unknown else "skipped")
        one.error = (
            f"profile {report.profile} sets {', '.join(unknown)}, which the notebook does not declare"
            if unknown
            else f"needs {', '.join(broken)}, which did not run"
        )
        print(f"{notebook.name}: {one.status} (0 s)", flush=True)
        return one
    seeds = report.seeds if "SEED" in notebook.declared else ()
    if seeds:
        repeats = [
            execute(notebook, report.given | {"SEED": seed}, report.target, f"seed-{seed}")
            for seed in seeds
        ]
    else:
        repeats = [execute(notebook, report.given, report.target)]
    one = _first(repeats)
    print(f"{notebook.name}: {one.status} ({one.seconds:.0f} s)", flush=True)
    if one.status == "ok":
        old = regression.read_accepted(report.numbers(notebook))
        if old:
            _compare(report, notebook, one, old)
        if report.accept:
            _accept(report, notebook, repeats, old)
        elif old:
            _print_verdict(one)
    return one


def _first(repeats: list[Run]) -> Run:
    """The first of the runs, which is shown, with the time of all and the failure of any."""
    one = repeats[0]
    one.seconds = sum(other.seconds for other in repeats)
    for other in repeats:
        if other.status != "ok" and one.status == "ok":
            one.status, one.error = other.status, f"SEED {other.parameters['SEED']}: {other.error}"
    return one


def _compare(report: _Report, notebook: Notebook, one: Run, old: Accepted) -> None:
    one.comparison = regression.compare(old, one.metrics, one.parameters)
    one.changed = changes(old.provenance, report.provenance)
    # copied, so that this folder still shows what it was compared with after the next --accept
    beside = report.target / ACCEPTED / notebook.name
    for picture in sorted(report.pictures(notebook).glob(f"*{SUFFIX}")):
        with atomic_path(beside / picture.name) as partial:
            shutil.copyfile(picture, partial)
        one.accepted_figures.append(str((beside / picture.name).relative_to(report.target)))


def _print_verdict(one: Run) -> None:
    if one.comparison.differing:
        print(f"  not compared: parameters differ ({', '.join(one.comparison.differing)})")
    for row in one.failed:
        print(f"  failed {row}")
    better = ", ".join(row.name for row in one.comparison.named("better"))
    if better:
        print(f"  better than accepted: {better}; renew the accepted numbers with --accept")


def _accept(report: _Report, notebook: Notebook, repeats: list[Run], old: Accepted | None) -> None:
    one = repeats[0]
    if len(repeats) > 1:
        seeds = list(report.seeds)
    else:
        seeds = [one.parameters["SEED"]] if "SEED" in one.parameters else []
    metrics = [other.metrics for other in repeats]
    made = report.provenance | {"seeds": seeds}
    new = regression.accept(metrics, seeds, one.parameters, made, old)
    for line in regression.difference(old, new):
        print(f"  {line}")
    weak = [name for name, allowed in new.tolerance.items() if allowed is None]
    if weak:
        print(f"  shown and not judged, because chance moves them as far: {', '.join(weak)}")
    regression.write_accepted(report.numbers(notebook), new)
    pictures = [report.target / figure for figure in one.figures]
    if report.shows_nobody(notebook):
        write_thumbnails(pictures, report.pictures(notebook))
    else:
        print("  no pictures kept: only those of the quick profile's own samples may be")


def _parse(parameters: Sequence[str]) -> dict:
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
            return output_folder(folder)
    raise NotebookFailed(f"{out} is full of runs of this second; try again")


def _write_summary(report: _Report, notebooks: list[Notebook], runs: list[Run]) -> None:
    """`metrics.json` and `index.html`, after every notebook, so that a run can be watched."""
    summary = {
        "profile": report.profile,
        "provenance": report.provenance,
        "notebooks": {
            one.name: {
                "status": one.status,
                "seconds": round(one.seconds, 1),
                "error": one.error or None,
                "parameters": one.parameters,
                "metrics": one.numbers,
                "better": {name: metric.better for name, metric in one.metrics.items()},
                "failed": [row.name for row in one.failed],
            }
            for one in runs
        },
    }
    write_json(report.target / "metrics.json", summary)
    past = read_past(report.target.parent)  # this run is the newest of them
    for notebook, one in zip(notebooks, runs, strict=False):  # those that ran so far
        held = one.comparison is not None and not one.comparison.differing
        old = regression.read_accepted(report.numbers(notebook)) if held else None
        one.trends = trends(past, one.name, report.profile, one.parameters, notebook.trend, old)
    page = index_page(
        f"anonlab run {report.target.name}",
        report.profile,
        report.provenance["commit"],
        runs,
        past.skipped,
        report.accept,
    )
    with atomic_path(report.target / "index.html") as partial:
        partial.write_text(page)
