"""The command line: anonymize photos, run the notebooks, look after the weights.

Exit status: 0 all done, 1 something failed (the rest is still done), 2 bad usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .errors import AnonlabError, UnknownOption


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.command(options)
    except UnknownOption as error:
        print(f"anonlab: {error}", file=sys.stderr)
        return 2
    except AnonlabError as error:
        print(f"anonlab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("anonlab: stopped; photos that were finished are written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="anonlab", description="High-similarity, controllable face anonymization."
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("anonymize", help="anonymize photos or folders of photos")
    one.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER")
    one.add_argument("--out", required=True, type=Path, help="folder for the results")
    one.add_argument(
        "--settings", type=Path, metavar="FILE", help="controls saved by the explorer; options win"
    )
    one.add_argument(
        "--mask-area",
        type=share,
        metavar="0-1",
        help="share of the face that is regenerated (default 0.25)",
    )
    one.add_argument(
        "--strength",
        type=share,
        metavar="0-1",
        help="from the person (0) to the virtual identity (1, default)",
    )
    one.add_argument(
        "--target-distance",
        type=float,
        metavar="D",
        help="the recogniser's distance to reach, instead of --strength",
    )
    one.add_argument("--seed", type=int, help="which virtual identity (default 0)")
    one.add_argument("--keep", type=names, help="attributes to share, or none (default gender,age,tone)")
    one.add_argument(
        "--perception", metavar="METHOD", help="how the mask is found (default integrated_gradients)"
    )
    one.add_argument("--include", type=names, metavar="REGIONS", help="always regenerated: mouth,eyes …")
    one.add_argument("--exclude", type=names, metavar="REGIONS", help="never regenerated")
    one.add_argument("--softness", type=float, metavar="PIXELS", help="of the mask's edge (default 3)")
    one.add_argument(
        "--key",
        type=Path,
        default=None,
        metavar="FILE",
        help="secret: the same person gets the same new face (default: a new one)",
    )
    one.add_argument("--faces", choices=("all", "largest"), default="all")
    one.add_argument(
        "--method",
        choices=("auto", "one-pass", "encode", "optimize"),
        default="auto",
        help="optimize takes a minute a face; one-pass takes seconds and is coarser until an encoder is "
        "trained (default: encode if its weights are here, else optimize)",
    )
    one.add_argument("--polish", type=int, default=None, metavar="0-100", help="steps of optimisation")
    add_generator(one)
    one.add_argument("--recognizer", choices=("dlib",), default="dlib")
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    one.add_argument(
        "--json",
        type=Path,
        default=None,
        metavar="FILE",
        help="where the record goes (default OUT/record.json)",
    )
    one.set_defaults(command=anonymize)

    run = commands.add_parser("run", help="execute the notebooks and write an HTML report")
    run.add_argument("--profile", choices=("quick", "full"), default="quick")
    run.add_argument("--only", default=None, metavar="NN", help="one notebook, by number")
    run.add_argument("--out", type=Path, default=Path("outputs/runs"))
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter; an unknown name is an error",
    )
    run.add_argument(
        "--baselines",
        type=Path,
        default=None,
        metavar="DIR",
        help="accepted numbers to compare with (default tests/baselines of the checkout)",
    )
    run.add_argument(
        "--accept",
        action="store_true",
        help="make this run's numbers the accepted ones; say what changes",
    )
    run.add_argument(
        "--seeds",
        type=whole_numbers,
        default=(),
        metavar="0,1,2",
        help="with --accept: repeat notebooks that have a SEED, which gives the tolerances",
    )
    run.set_defaults(command=run_notebooks)

    train = commands.add_parser("train", help="train a network on generated faces")
    train.add_argument("what", choices=("encoder", "landmarks", "perception"))
    train.add_argument("--out", type=Path, default=None, help="default outputs/train/WHAT")
    train.add_argument("--steps", type=int, default=None)
    train.add_argument("--batch", type=int, default=None)
    train.add_argument("--learning-rate", type=float, default=None)
    train.add_argument("--validate-every", type=int, default=None, metavar="STEPS")
    train.add_argument("--seed", type=int, default=None)
    train.add_argument("--samples", type=int, default=None, help="generated faces to learn from")
    train.add_argument(
        "--photos", type=Path, default=None, metavar="FOLDER", help="learn from these faces as well"
    )
    train.add_argument("--size", choices=("base", "small"), default="base", help="of the encoder")
    train.add_argument(
        "--latent-share",
        type=share,
        default=None,
        metavar="0-1",
        help="of the encoder's steps that run without generator, ten times faster",
    )
    add_generator(train)
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    train.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    train.add_argument(
        "--minutes", type=float, default=None, help="stop with a checkpoint after this time"
    )
    train.add_argument("--ship", action="store_true", help="put the result where anonlab loads it")
    train.set_defaults(command=train_network)

    judge = commands.add_parser("evaluate", help="measure privacy, similarity and utility on people")
    judge.add_argument(
        "people",
        nargs="+",
        metavar="FOLDER[:COUNT]",
        help="folders in the layout person/photo.jpg, or embedded, or lfw (scikit-learn's cache)",
    )
    judge.add_argument("--out", type=Path, default=Path("outputs/evaluation"))
    judge.add_argument("--unseen", type=Path, metavar="FILE.onnx", help="a recogniser that took no part")
    judge.add_argument(
        "--unseen-options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='its crop, scaling and threshold, such as {"size": 112, "bgr": true, "threshold": 0.6}',
    )
    judge.add_argument("--optimised", type=int, default=10, help="people for the slow optimisation")
    judge.add_argument("--calibrated", type=int, default=5, help="people for target_distance")
    judge.add_argument("--seed", type=int, default=0)
    judge.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    judge.set_defaults(command=evaluate_people)

    bench = commands.add_parser("bench", help="time every part, and measure its memory")
    bench.add_argument("--out", type=Path, default=Path("outputs/bench"))
    bench.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    bench.add_argument("--repeats", type=int, default=None, help="of every case (default 5, quick 2)")
    bench.add_argument("--quick", action="store_true", help="fewer sizes: a minute on 2 CPU cores")
    bench.set_defaults(command=benchmark)

    doctor = commands.add_parser("doctor", help="which weights are here, what is missing")
    doctor.add_argument("--download", metavar="NAME", help="fetch one optional model")
    doctor.add_argument(
        "--sha256", default="", metavar="HEX", help="what the download must have, if you know it"
    )
    doctor.set_defaults(command=check_weights)
    return root


def add_generator(command: argparse.ArgumentParser) -> None:
    """The two options that choose a generator."""
    command.add_argument("--generator", choices=("mobile", "stylegan2"), default="mobile")
    command.add_argument(
        "--generator-weights",
        type=Path,
        default=None,
        metavar="FILE",
        help="of stylegan2: .pkl of NVIDIA, .pt of rosinality or .safetensors of anonlab",
    )


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def names(text: str) -> tuple[str, ...]:
    """`a,b` as a tuple; `none` is empty."""
    return () if text == "none" else tuple(text.split(","))


def whole_numbers(text: str) -> tuple[int, ...]:
    """`0,1,2` as a tuple."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a list of whole numbers like 0,1,2") from None


def chosen_controls(options: argparse.Namespace) -> dict:
    """The controls of a settings file, and over them those that were given as options."""
    from dataclasses import fields

    from .controls import Controls, read_controls

    saved = read_controls(options.settings) if options.settings else {}
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    return saved | {name: value for name, value in given.items() if value is not None}


def anonymize(options: argparse.Namespace) -> int:
    """`anonlab anonymize`: photos in, anonymized photos and a record out."""
    from .batch import anonymize_files, read_key
    from .controls import Controls
    from .pipeline import Anonymizer

    controls = Controls(**chosen_controls(options))
    key = read_key(options.key) if options.key else None
    anonymizer = Anonymizer.load(
        options.generator,
        options.recognizer,
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
    from .report import run

    return run(
        options.profile,
        options.only,
        options.out,
        options.parameter,
        baselines=options.baselines,
        accept=options.accept,
        seeds=options.seeds,
    )


def train_network(options: argparse.Namespace) -> int:
    """`anonlab train`: weights, a card, a log and its curves."""
    from .training.run import run

    names = (
        "what device generator generator_weights size samples photos latent_share resume minutes ship "
        "steps batch learning_rate validate_every seed"
    )
    chosen = {name: getattr(options, name) for name in names.split()}
    out = options.out or Path("outputs/train") / options.what
    card = run(out=out, progress=sys.stderr.isatty(), **chosen)
    if card:
        print(json.dumps(card, indent=2))
    return 0


def evaluate_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate`: every method on the same people; stopped and started again it goes on."""
    from .evaluation.command import evaluate_sources, write_report
    from .evaluation.methods import Protocol

    protocol = Protocol(optimised=options.optimised, calibrated=options.calibrated, seed=options.seed)
    sources = dict(source_and_count(text) for text in options.people)
    report = evaluate_sources(
        sources, protocol, options.out / "people", options.unseen, options.unseen_options,
        options.device, progress=True,
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


def benchmark(options: argparse.Namespace) -> int:
    """`anonlab bench`: a table here, and the same as JSON and figures in a folder."""
    from .bench import run

    progress = sys.stderr.isatty()
    result = run(options.out, options.device, options.repeats, options.quick, progress)
    failed = 0
    for row in result["rows"]:
        name = f"{row['view']:12} {row['panel']:21} {row['series']:32} {row['x']:3g}"
        if "error" in row:
            failed += 1
            print(f"anonlab: {' '.join(name.split())} failed ({row['error']})", file=sys.stderr)
            continue
        seconds = row["seconds"]
        print(
            f"{name} {seconds['median']:9.4f} s ({seconds['min']:.4f}–{seconds['max']:.4f}) "
            f"{row['images_per_second']:8.2f} /s {row['memory_mb']:7.0f} MB"
        )
    print(f"written to {options.out}")
    return 1 if failed else 0


def check_weights(options: argparse.Namespace) -> int:
    """`anonlab doctor`: one line for each pretrained file."""
    from . import weights

    if options.download:
        path = weights.download(options.download, options.sha256)
        print(f"downloaded {path} (sha256 {weights.sha256(path)})")
    broken = 0
    for key, weight in weights.WEIGHTS.items():
        state, text = weights.status(key)
        broken += state in ("missing", "corrupt")
        print(f"{state:9} {key:23} {weight.what} [{weight.licence}]")
        if state != "ok":
            print(f"{'':9} {text}")
    print("everything that is needed is here" if not broken else f"{broken} files need repair")
    return 1 if broken else 0
