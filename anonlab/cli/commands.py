"""What each command of `python -m anonlab` does, and what it says when it is done.

Every function takes the parsed options and returns the exit status. Imports are inside, so that
`--help` and a mistyped option do not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..controls import Controls


def chosen_controls(options: argparse.Namespace) -> Controls:
    """The controls of a settings file, and over them those that were given as options.

    Area and threshold are two ways to say one mask: an area that is given replaces a saved threshold.
    """
    from ..controls import Controls, make_controls, read_settings

    saved = read_settings(options.settings).controls if options.settings else {}
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    given = {name: value for name, value in given.items() if value is not None}
    if "mask_area" in given:
        saved = saved | {"mask_threshold": None}
    return make_controls(saved | given)


def chosen_key(options: argparse.Namespace) -> bytes | None:
    """The secret: of `--key`, or else of the settings file; None for a new one."""
    from ..controls import read_settings
    from .batch import read_key

    if options.key:
        return read_key(options.key)
    saved = read_settings(options.settings).key if options.settings else None
    return saved.encode() if saved else None


def anonymize(options: argparse.Namespace) -> int:
    """`anonlab anonymize`: photos in, anonymized photos and a record out."""
    from ..pipeline import Anonymizer
    from .batch import anonymize_files

    controls, key = chosen_controls(options), chosen_key(options)
    anonymizer = Anonymizer.load(
        options.generator,
        options.method,
        options.device,
        key,
        generator_path=options.generator_weights,
    )
    record = anonymize_files(
        anonymizer,
        options.photos,
        options.out,
        controls,
        options.faces,
        options.json or options.out / "record.json",
        progress=sys.stderr.isatty(),
    )
    failed = 0
    for photo in record["photos"]:
        if photo["error"]:
            failed += 1
            print(f"anonlab: {photo['error']}", file=sys.stderr)
            continue
        faces = ", ".join(f"distance {face['distance']:.2f}" for face in photo["faces"])
        print(f"{photo['source']} -> {photo['output']} ({faces})")
    return 1 if failed else 0


def run_notebooks(options: argparse.Namespace) -> int:
    """`anonlab run`: every notebook by papermill, and an index of what they made."""
    from ..runner.report import run

    status = run(
        options.profile,
        options.only,
        options.out,
        options.parameter,
        accepted=options.accepted,
        accept=options.accept,
        seeds=options.seeds,
    )
    print("to browse them as a book, in a minute at most: make course")
    return status


def make_course(options: argparse.Namespace) -> int:
    """`anonlab course`: executed notebooks as a book that needs no network."""
    from ..runner.course import build_course

    missing = build_course(options.runs, options.out)
    if missing:
        print(f"not run yet, so shown without results: {', '.join(missing)}; run: make run")
    print(f"course: {options.out / 'index.html'}")
    return 0


def train_network(options: argparse.Namespace) -> int:
    """`anonlab train`: weights, a card, a log and its curves."""
    from ..training.command import train_part

    names = (
        "what device generator generator_weights size samples photos latent_share start resume minutes "
        "ship steps batch learning_rate validate_every seed"
    )
    chosen = {name: getattr(options, name) for name in names.split()}
    out = options.out or Path("outputs/train") / options.what
    card = train_part(out=out, progress=sys.stderr.isatty(), **chosen)
    if card:
        print(json.dumps(card, indent=2))
    return 0


def evaluate_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate`: every method on the same people; stopped and started again it goes on."""
    from ..evaluation.attackers.pairs import GENERATED
    from ..evaluation.command import evaluate_sources, write_report
    from ..evaluation.methods import Protocol

    if options.default_only:
        protocol = Protocol.default_only(options.seed)
    else:
        protocol = Protocol(
            optimised=options.optimised, calibrated=options.calibrated, seed=options.seed
        )
    sources = dict(source_and_count(text) for text in options.people)
    learn_from = None
    if options.attackers is not None:
        learn_from = dict(source_and_count(text) for text in options.attackers or [GENERATED])
    report = evaluate_sources(
        sources, protocol, options.out / "people", options.unseen, options.unseen_options,
        options.device, progress=True, learn_from=learn_from,
    )  # fmt: skip
    write_report(report, options.out)
    print(report.headline)
    for one in report.evaluation.problems:
        print(f"anonlab: {one['person']}: {one['problem']}", file=sys.stderr)
    print(f"written to {options.out}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """`folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)


def check_weights(options: argparse.Namespace) -> int:
    """`anonlab doctor`: one line for each pretrained file."""
    from ..weights import store

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
    print("everything that is needed is here" if not broken else f"{broken} files need repair")
    return 1 if broken else 0
