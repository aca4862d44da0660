"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..controls import FACES, FALLBACKS, METHODS


def add_controls(command: argparse.ArgumentParser, target_distance: bool = True) -> None:
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
    if target_distance:
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
    add_device(command)


def add_guide(command: argparse.ArgumentParser) -> None:
    """The two options that name a second guide."""
    _add_onnx(
        command,
        "--guide",
        "a second recogniser that must not know the person: it joins mask, losses and check "
        "(pip install anonlab[guide])",
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """Where networks run."""
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


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


def add_unseen(command: argparse.ArgumentParser) -> None:
    """The two options that name a recogniser of one's own."""
    _add_onnx(command, "--unseen", "a recogniser that took no part")


def _add_onnx(command: argparse.ArgumentParser, name: str, what: str) -> None:
    """An ONNX file, and the options of `OnnxRecognizer` that it needs."""
    command.add_argument(name, type=Path, metavar="FILE.onnx", help=what)
    command.add_argument(
        f"{name}-options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='its crop, scaling and threshold, such as {"size": 112, "bgr": true, "threshold": 0.6}',
    )


def add_generator(command: argparse.ArgumentParser) -> None:
    """The two options that choose a generator."""
    command.add_argument("--generator", choices=("mobile", "stylegan2"), default="mobile")
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


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them: `90`, `1:30`, `0:01:30.5`."""
    parts = text.split(":")
    value = 0.0
    for part in parts:
        value = 60 * value + float(part)
    if value < 0 or len(parts) > 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, or minutes:seconds")
    return value
