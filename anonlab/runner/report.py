"""Run the notebooks by papermill and write one folder that shows what came out.

A notebook gets the parameter `OUTPUT`, a folder; `record` and `save_figure` put numbers and pictures
there. Its judged numbers are compared with bounds and accepted numbers (see `regression`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from ..errors import OutputNotWritable, UnknownOption, check_choice
from ..files import output_folder, write_json
from ..notebook.provenance import changes, provenance
from ..weights import store
from . import regression
from .execution import Notebook, Run, execute, literal, notebook_paths, read_notebook
from .pages import answers, write_index, write_page


def run(
    profile: str = "quick",
    only: str | None = None,
    out: Path = Path("outputs/runs"),
    parameters: Sequence[str] = (),
    accept: bool = False,
    environment: str = regression.NATIVE,
) -> int:
    """Execute the notebooks in order and judge their numbers.

    Returns 0 when all of them ran to the end and no judged number failed, else 1. `only` picks notebooks
    by number, `00,03` (their needs are then taken as met); `parameters` are `NAME=VALUE`. Accepted
    numbers are `tests/accepted/<notebook>-<profile>.json`. With `accept` this run's numbers go there;
    for that each notebook is run again as `REPEATS` say. `environment` is one of `ENVIRONMENTS`.
    Raises `UnknownOption` for a notebook or parameter that does not exist, `InputDamaged`, and
    `OutputNotWritable`, also for accepting in an installed copy.
    """
    folder, chosen = store.notebooks_folder(), tuple((only or "").split(","))
    if accept and store.installed():
        raise OutputNotWritable(
            f"{folder} is an installed copy, whose files are not changed; clone the repository and run "
            "--accept there"
        )
    paths = [path for path in notebook_paths(folder) if path.name.startswith(chosen)]
    if not paths:
        raise UnknownOption(
            f"{folder} has no notebook {only or ''}; see what is there with: ls {folder}"
        )
    notebooks = [read_notebook(path, profile) for path in paths]
    check_choice("environment", environment, [regression.NATIVE] if accept else regression.ENVIRONMENTS)
    given = _parse(parameters)
    check_choice("parameter", given, {name: None for one in notebooks for name in one.declared})
    accepted = {
        one.path: store.accepted_folder() / f"{one.path.stem}-{profile}.json" for one in notebooks
    }
    for path in accepted.values():  # a damaged one is reported before the work, not after it
        regression.read_accepted(path)
    seeds = dict.fromkeys(notebook.parameters(given).get("SEED") for notebook in notebooks)
    origin = provenance(seeds=[seed for seed in seeds if isinstance(seed, int)])
    target, runs = output_folder(out.resolve() / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"), []
    if accept and any("STATE" in notebook.declared for notebook in notebooks):
        given = {"STATE": str(target / "people")} | given  # what is accepted is measured now
    for notebook in notebooks:
        broken = {done.name[:2] for done in runs if done.status != "ok"}.intersection(notebook.needs)
        if broken:
            told = f"needs {', '.join(sorted(broken))}, which did not run"
            one = Run(notebook.path.stem, status="skipped", error=told)
        else:
            one = execute(notebook, given, target, regression.ENVIRONMENTS[environment])
        print(f"{notebook.path.stem}: {one.status} ({one.seconds:.0f} s)", flush=True)
        if one.status == "ok" and accept:
            _accept(notebook, one, given, target, origin, accepted[notebook.path])
        if one.status == "ok":
            _compare(one, origin, accepted[notebook.path])
        runs.append(one)
        _write_summary(target, profile, origin, runs)
    for notebook, one in zip(notebooks, runs, strict=True):
        if one.page:
            executed = target / notebook.path.name
            write_page(executed, notebook.path.parent, {other.page for other in runs})
    told = [f"{question} {answer}" for question, _, answer in answers(runs)]
    print(*told, f"report: {target / 'index.html'}", sep="\n")
    return 1 if any(one.status != "ok" or one.named("failed") for one in runs) else 0


def _compare(one: Run, origin: dict, stored: Path) -> None:
    """Hold a run's numbers to the accepted ones, where there are any."""
    old = regression.read_accepted(stored)
    if old is None:
        return
    one.changed = changes(old.provenance, origin)
    one.differing = regression.differing(old, one.parameters)
    if one.differing:
        print(f"  not compared: parameters differ ({', '.join(one.differing)})")
        return
    one.rows = regression.compare(old, one.metrics)
    for row in one.named("failed"):
        print(f"  failed {row}")


def _accept(notebook: Notebook, one: Run, given: dict, target: Path, origin: dict, path: Path) -> None:
    """Repeat a notebook and write its accepted numbers; a repeat's failure is the notebook's."""
    seed = one.parameters.get("SEED")
    kinds, done = [{"environment": regression.NATIVE, "switches": {}, "seed": seed}], [one.metrics]
    for number, (name, added) in enumerate(regression.REPEATS, 1):
        switches, value = regression.ENVIRONMENTS[name], None if seed is None else seed + added
        print(f"  again: {name}, SEED {value}", flush=True)
        place = target / "repeats" / f"{notebook.path.stem}-{number}"
        # where a notebook keeps what it measured: every repeat measures
        own = given | {"SEED": value, "STATE": str(place / "state")}
        again = execute(notebook, own, place, switches)
        one.seconds += again.seconds
        if again.status != "ok":
            one.status, one.error = again.status, f"{name}, SEED {value}: {again.error}"
            return
        done.append(again.metrics)
        kinds.append({"environment": name, "switches": switches, "seed": value})
    new = regression.accept(done, kinds, one.parameters, origin)
    write_json(path, asdict(new))
    print(f"  accepted: {len(new.judged)} judged numbers, in {path}")


def _parse(parameters: Sequence[str]) -> dict:
    """Read `NAME=VALUE`."""
    for text in parameters:
        if "=" not in text:
            raise UnknownOption(f"parameter {text!r} is not of the form NAME=VALUE")
    return {name: literal(value) for name, _, value in (text.partition("=") for text in parameters)}


def _write_summary(target: Path, profile: str, origin: dict, runs: list[Run]) -> None:
    """Write `metrics.json` and `index.html`, after every notebook, so that a run can be watched."""
    said = {
        one.name: {
            "status": one.status,
            "seconds": round(one.seconds, 1),
            "error": one.error or None,
            "parameters": one.parameters,
            "metrics": one.numbers,
            "failed": [row.name for row in one.named("failed")],
        }
        for one in runs
    }
    write_json(target / "metrics.json", {"profile": profile, "provenance": origin, "notebooks": said})
    write_index(target, profile, origin["commit"], runs)
