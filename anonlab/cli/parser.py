"""The command line: what can be asked, and with which options. `commands` does it.

Exit status: 0 all done, 1 something failed or a file that was named is missing (the rest is still
done), 2 bad usage, 3 all is done, but a face could only be covered.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

from ..controls import FACES, FALLBACKS, METHODS
from ..errors import AnonlabError, UnknownOption
from . import commands
from .scale_options import add_scale
from .video_options import add_video


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged files end in one named error
    try:
        return options.command(options)
    except UnknownOption as error:
        commands.complain(str(error))
        return 2
    except AnonlabError as error:
        commands.complain(str(error))
        return 1
    except KeyboardInterrupt:
        print("anonlab: stopped; photos that were finished are written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="anonlab", description="High-similarity, controllable face anonymization."
    )
    menu = root.add_subparsers(required=True, metavar="COMMAND")

    one = menu.add_parser("anonymize", help="anonymize photos or folders of photos")
    one.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER")
    one.add_argument("--out", required=True, type=Path, help="folder for the results")
    add_controls(one)
    add_choice(one)
    add_parts(one)
    one.add_argument(
        "--json",
        type=Path,
        default=None,
        metavar="FILE",
        help="where the record goes (default OUT/record.json)",
    )
    add_folder_options(one)
    one.set_defaults(command=commands.anonymize)

    album = menu.add_parser(
        "album",
        parents=[one],
        conflict_handler="resolve",  # both have -h
        help="the same, and a person gets one new face in all photos, also in those added later",
    )
    album.set_defaults(command=commands.album)

    add_video(menu, commands.anonymize_video, share, names)
    add_scale(
        menu, commands.anonymize_at_scale, (add_controls, add_parts, add_fallback, add_keep_metadata)
    )

    run = menu.add_parser("run", help="execute the notebooks and write an HTML report")
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
        "--accepted",
        type=Path,
        default=None,
        metavar="DIR",
        help="accepted numbers and pictures to compare with (default tests/accepted of the checkout)",
    )
    run.add_argument(
        "--accept",
        action="store_true",
        help="make this run's numbers and pictures the accepted ones; say what changes",
    )
    run.add_argument(
        "--seeds",
        type=whole_numbers,
        default=(),
        metavar="0,1,2",
        help="with --accept: repeat notebooks that have a SEED, which gives the tolerances",
    )
    run.set_defaults(command=commands.run_notebooks)

    course = menu.add_parser("course", help="make a browsable book of the newest executed notebooks")
    course.add_argument("--runs", type=Path, default=Path("outputs/runs"), help="where they are")
    course.add_argument("--out", type=Path, default=Path("outputs/course"))
    course.set_defaults(command=commands.make_course)

    train = menu.add_parser("train", help="train a network on generated faces")
    train.add_argument("what", choices=("correction", "encoder", "glasses", "landmarks", "perception"))
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
    train.add_argument(
        "--start", type=Path, default=None, metavar="FILE", help="go on from these encoder's weights"
    )
    train.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    train.add_argument(
        "--minutes", type=float, default=None, help="stop with a checkpoint after this time"
    )
    train.add_argument("--ship", action="store_true", help="put the result where anonlab loads it")
    train.set_defaults(command=commands.train_network)

    judge = menu.add_parser("evaluate", help="measure privacy, similarity and utility on people")
    judge.add_argument(
        "people",
        nargs="+",
        metavar="FOLDER[:COUNT]",
        help="folders in the layout person/photo.jpg, or embedded, or lfw (scikit-learn's cache)",
    )
    judge.add_argument("--out", type=Path, default=Path("outputs/evaluation"))
    add_unseen(judge)
    judge.add_argument(
        "--default-only",
        action="store_true",
        help="anonlab's defaults and the attackers on them, without controls and other methods",
    )
    judge.add_argument(
        "--attackers",
        nargs="*",
        default=None,
        metavar="SOURCE[:COUNT]",
        help="all attackers as well, and what they learn from: generated:300 (the default), folders "
        "of other people's photos",
    )
    judge.add_argument("--optimised", type=int, default=10, help="people for the slow optimisation")
    judge.add_argument("--calibrated", type=int, default=3, help="people for target_distance")
    judge.add_argument("--seed", type=int, default=0)
    judge.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    judge.set_defaults(command=commands.evaluate_people)

    add_verify(menu)

    doctor = menu.add_parser("doctor", help="which weights are here, what is missing")
    doctor.add_argument("--download", metavar="NAME", help="fetch one optional model")
    doctor.add_argument(
        "--sha256", default="", metavar="HEX", help="what the download must have, if you know it"
    )
    doctor.set_defaults(command=commands.check_weights)
    return root


def add_controls(command: argparse.ArgumentParser) -> None:
    """The controls, by file or one by one, and the key."""
    command.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="controls and key saved by the explorer; options win",
    )
    command.add_argument(
        "--mask-area",
        type=share,
        metavar="0-1",
        help="share of the aligned picture that is regenerated (default 0.25: about three "
        "quarters of the face)",
    )
    command.add_argument(
        "--strength",
        type=share,
        metavar="0-1",
        help="from the person (0) to the virtual identity (1, default)",
    )
    command.add_argument(
        "--target-distance",
        type=float,
        metavar="D",
        help="the recogniser's distance to reach, instead of --strength",
    )
    command.add_argument("--seed", type=int, help="which virtual identity (default 0)")
    command.add_argument(
        "--keep", type=names, help="attributes to share, or none (default gender,age,tone)"
    )
    command.add_argument(
        "--perception", metavar="METHOD", help="how the mask is found (default integrated_gradients)"
    )
    command.add_argument(
        "--include", type=names, metavar="REGIONS", help="always regenerated: mouth,eyes …"
    )
    command.add_argument("--exclude", type=names, metavar="REGIONS", help="never regenerated")
    command.add_argument(
        "--mask-threshold",
        type=share,
        metavar="0-1",
        help="the attribution from which on pixels are regenerated, instead of --mask-area",
    )
    command.add_argument(
        "--smallest",
        type=share,
        metavar="0-1",
        help="share of the aligned picture below which a piece of the mask is dropped (default 0)",
    )
    command.add_argument(
        "--symmetric", action="store_true", default=None, help="join the mask with its mirror image"
    )
    command.add_argument(
        "--softness", type=float, metavar="PIXELS", help="of the mask's edge (default 3)"
    )
    command.add_argument(
        "--key",
        type=Path,
        default=None,
        metavar="FILE",
        help="secret: the same person gets the same new face (default: the one in --settings, or a new "
        "one)",
    )


def add_parts(command: argparse.ArgumentParser) -> None:
    """What makes the pictures, and on which device."""
    command.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="encode, by the trained encoder, takes a second a face (auto, the default, where there is "
        "one); optimize takes a minute; one-pass, the linear start, is the coarsest",
    )
    command.add_argument(
        "--refine-steps",
        type=int,
        default=None,
        metavar="0-100",
        help="of optimisation, from the method's start",
    )
    add_generator(command)
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def add_folder_options(command: argparse.ArgumentParser) -> None:
    """What `anonymize` does with many photos and their files."""
    command.add_argument(
        "--resume",
        action="store_true",
        help="leave alone what the record says is done: the same photo, settings and key",
    )
    add_keep_metadata(command)
    command.add_argument(
        "--verify", action="store_true", help="check the results as `anonlab verify` does, at the end"
    )


def add_verify(menu: argparse._SubParsersAction) -> None:
    """The command that looks for leaks."""
    check = menu.add_parser(
        "verify", help="compare photos with their anonymized ones, and name every leak"
    )
    check.add_argument("originals", type=Path, help="a photo or a folder")
    check.add_argument("anonymized", type=Path, help="a photo, or a folder of the same names")
    check.add_argument(
        "--out", type=Path, default=Path("outputs/verify"), help="folder for the page and its numbers"
    )
    add_unseen(check)
    check.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    check.set_defaults(command=commands.verify)


def add_unseen(command: argparse.ArgumentParser) -> None:
    """The two options that name a recogniser of one's own."""
    command.add_argument(
        "--unseen", type=Path, metavar="FILE.onnx", help="a recogniser that took no part"
    )
    command.add_argument(
        "--unseen-options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='its crop, scaling and threshold, such as {"size": 112, "bgr": true, "threshold": 0.6}',
    )


def add_choice(command: argparse.ArgumentParser) -> None:
    """Which faces, and what is done where no face can be generated."""
    command.add_argument(
        "--faces",
        type=faces,
        default="all",
        metavar="all|largest|1,3",
        help="which of them, 1 for the largest; --preview shows the numbers",
    )
    command.add_argument(
        "--leave",
        type=Path,
        nargs="+",
        default=(),
        metavar="PHOTO",
        help="people to leave alone: the largest face of each photo",
    )
    command.add_argument(
        "--only",
        type=Path,
        nargs="+",
        default=(),
        metavar="PHOTO",
        help="anonymize nobody but these people, and who might be one of them",
    )
    add_fallback(command)
    command.add_argument(
        "--preview",
        action="store_true",
        help="only write pictures that number the faces, which are covered in them",
    )


def add_fallback(command: argparse.ArgumentParser) -> None:
    """What is done where no face can be generated."""
    command.add_argument(
        "--fallback",
        choices=FALLBACKS,
        default="blur",
        help="how a face is covered that cannot be generated (exit status 3); none refuses the photo",
    )


def add_keep_metadata(command: argparse.ArgumentParser) -> None:
    """What of a file's EXIF travels."""
    command.add_argument(
        "--keep-metadata",
        type=names,
        default=(),
        metavar="GROUPS",
        help="EXIF that stays: date,camera,copyright,gps (default none); never a thumbnail or MakerNote",
    )


def add_generator(command: argparse.ArgumentParser) -> None:
    """The two options that choose a generator."""
    command.add_argument("--generator", choices=("mobile", "stylegan2"), default="mobile")
    add_generator_weights(command)


def add_generator_weights(command: argparse.ArgumentParser) -> None:
    """The option that says where a StyleGAN2 is."""
    command.add_argument(
        "--generator-weights",
        type=Path,
        default=None,
        metavar="FILE",
        help="of stylegan2: .pkl of NVIDIA, .pt of rosinality, or .safetensors of their tensors",
    )


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def faces(text: str) -> str | tuple[int, ...]:
    """`all`, `largest`, or `1,3` as a tuple."""
    if text in FACES:
        return text
    try:
        return whole_numbers(text)
    except argparse.ArgumentTypeError:
        choices = f"{', '.join(FACES)} or numbers like 1,3"
        raise argparse.ArgumentTypeError(f"{text!r} is no choice of faces; take {choices}") from None


def names(text: str) -> tuple[str, ...]:
    """`a,b` as a tuple; `none` is empty."""
    return () if text == "none" else tuple(text.split(","))


def whole_numbers(text: str) -> tuple[int, ...]:
    """`0,1,2` as a tuple."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a list of whole numbers like 0,1,2") from None
