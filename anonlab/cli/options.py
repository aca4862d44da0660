"""Options that several commands share, how their values are read, and what a command says."""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ..controls import FACES, FALLBACKS, KEY_BYTES, METHODS, Controls, make_controls, read_settings
from ..errors import AnonlabError, InputDamaged, InputMissing
from ..files import atomic_path, printable

FAILED = 1  # something failed; the rest is still done
BAD_USAGE = 2
COVERED = 3  # all is written, but a face could only be covered
STOPPED = 130  # by the user
KINDS = {"float": float, "int": int, "str": str, "bool": bool}


def complain(message: object) -> None:
    """Print one line on standard error."""
    print(f"anonlab: {printable(str(message))}", file=sys.stderr)


def sentence(error: Exception, source: Path) -> str:
    """Say what happened to one photo, whatever was raised."""
    if isinstance(error, AnonlabError):
        return str(error)
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"{source} could not be processed ({reason}); try a smaller copy"


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
    with contextlib.suppress(argparse.ArgumentTypeError):
        if min(numbers := whole_numbers(text)) >= 1:
            return numbers
    choices = f"{', '.join(FACES)} or numbers from 1, like 1,3"
    raise argparse.ArgumentTypeError(f"{text!r} is no choice of faces; take {choices}")


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


ONNX_OPTIONS = {
    "type": json.loads,
    "default": {},
    "metavar": "JSON",
    "help": 'its crop, scaling and threshold, such as {"size": 112, "bgr": true, "threshold": 0.6}',
}
OPTIONS: dict[str, dict] = {  # that several commands share
    "--settings": {
        "type": Path,
        "metavar": "FILE",
        "help": "controls and key saved by the explorer; options win",
    },
    "--key": {
        "type": Path,
        "metavar": "FILE",
        "help": "secret: the same person gets the same new face (default: the one in --settings, or a "
        "new one)",
    },
    "--method": {
        "choices": METHODS,
        "default": "auto",
        "help": "encode, by the trained encoder, takes a second a face (auto, the default, where there "
        "is one); optimize takes a minute; one-pass, the linear start, is the coarsest",
    },
    "--generator": {"choices": ("mobile", "stylegan2"), "default": "mobile"},
    "--generator-weights": {
        "type": Path,
        "metavar": "FILE",
        "help": "of stylegan2: .pkl of NVIDIA, .pt of rosinality, or .safetensors of their tensors",
    },
    "--device": {"choices": ("auto", "cpu", "cuda"), "default": "auto"},
    "--unseen": {"type": Path, "metavar": "FILE.onnx", "help": "a recogniser that took no part"},
    "--unseen-options": ONNX_OPTIONS,
    "--fallback": {
        "choices": FALLBACKS,
        "default": "blur",
        "help": "how a face is covered that cannot be generated (exit status 3); none refuses the photo",
    },
    "--keep-metadata": {
        "type": names,
        "default": (),
        "metavar": "GROUPS",
        "help": "EXIF that stays: date,camera,copyright,gps (default none); never a thumbnail or "
        "MakerNote",
    },
}
PARTS = ("--method", "--generator", "--generator-weights", "--device")  # what makes the pictures


def add(command: argparse.ArgumentParser, *options: str) -> None:
    """Add some of `OPTIONS` to a command."""
    for name in options:
        command.add_argument(name, **OPTIONS[name])


def add_controls(command: argparse.ArgumentParser, without: Sequence[str] = ()) -> None:
    """Add an option for every field of `Controls`, a file of them, and the key."""
    add(command, "--settings")
    for one in fields(Controls):
        if one.name in without:
            continue
        how: dict = {"type": names if isinstance(one.default, tuple) else KINDS[one.type.split()[0]]}
        if isinstance(one.default, bool):
            how = {"action": "store_true"}
        elif one.metadata["metavar"]:
            how["metavar"] = one.metadata["metavar"]
        name = "--" + one.name.replace("_", "-")
        command.add_argument(name, default=None, help=one.metadata["help"], **how)
    add(command, "--key")


def chosen_controls(options: argparse.Namespace) -> Controls:
    """The controls of a settings file, and over them those that were given as options.

    Area and threshold are two ways to say one mask: an area that is given replaces a saved threshold.
    """
    saved = read_settings(options.settings).controls if options.settings else {}
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    given = {name: value for name, value in given.items() if value is not None}
    if "mask_area" in given:
        saved = saved | {"mask_threshold": None}
    return make_controls(saved | given)


def chosen_key(options: argparse.Namespace) -> bytes | None:
    """The secret: of `--key`, or else of the settings file; None for a new one. Raises `InputMissing` or
    `InputDamaged`."""
    if options.key:
        return read_key(options.key)
    saved = read_settings(options.settings).key if options.settings else None
    return saved.encode() if saved else None


def read_key(path: Path) -> bytes:
    """The secret in a file, at least `KEY_BYTES`. Raises `InputMissing` or `InputDamaged`."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputMissing(
            f"key file {path} cannot be read ({error.strerror}); make one with: "
            f'python -c "import secrets; print(secrets.token_hex(32))" > {path}'
        ) from None
    if len(key) < KEY_BYTES:
        raise InputDamaged(
            f"key file {path} holds {len(key)} bytes; a secret needs at least {KEY_BYTES}"
        )
    return key


def make_key(path: Path) -> None:
    """Write a new secret to a file that only its owner can read, unless the file exists. Raises
    `OutputNotWritable`."""
    if path.exists():
        return
    with atomic_path(path) as unfinished:
        unfinished.write_text(secrets.token_hex(32) + "\n")
    with contextlib.suppress(OSError):  # a stick or share has no permissions
        path.chmod(0o600)
    print(f"a new key is in {path}: keep it, nothing else gives the same faces again")
