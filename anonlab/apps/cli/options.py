"""Commands and their options: what several of them share, how values are read, what a command says."""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from ...controls import FACES, FALLBACKS, METHODS, Controls, make_controls
from ...errors import InputMissing
from ...files import atomic_path, printable
from ..folders.settings import check_key, read_settings

FAILED = 1  # something failed; the rest is still done
BAD_USAGE = 2
COVERED = 3  # all is written, but a face could only be covered
STOPPED = 130  # by the user
KINDS = {"float": float, "int": int, "str": str, "bool": bool}
Options = dict[str, dict]  # name or flag -> arguments of `ArgumentParser.add_argument`
Run = Callable[[argparse.Namespace], int]
COMMANDS: list[tuple[str, Run, Options, dict]] = []  # name, what it does, options, texts


def command(name: str, options: Options, **texts: str) -> Callable[[Run], Run]:
    """Add a function to the commands of the menu; `texts` are its `help` and `description`."""

    def added(run: Run) -> Run:
        COMMANDS.append((name, run, options, texts))
        return run

    return added


def complain(message: object) -> None:
    """Print one line on standard error."""
    print(f"anonlab: {printable(str(message))}", file=sys.stderr)


def faces(text: str) -> str | tuple[int, ...]:
    """`all`, `largest`, or `1,3` as a tuple."""
    if text in FACES:
        return text
    with contextlib.suppress(ValueError):
        if min(numbers := tuple(int(part) for part in text.split(","))) >= 1:
            return numbers
    choices = f"{', '.join(FACES)} or numbers from 1, like 1,3"
    raise argparse.ArgumentTypeError(f"{text!r} is no choice of faces; take {choices}")


def names(text: str) -> tuple[str, ...]:
    """`a,b` as a tuple; `none` is empty."""
    return () if text == "none" else tuple(text.split(","))


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them: `90`, `1:30`, `0:01:30.5`."""
    parts, value = text.split(":"), 0.0
    for part in parts:
        value = 60 * value + float(part)
    if value < 0 or len(parts) > 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, or minutes:seconds")
    return value


def option(metavar: str | None = None, help: str | None = None, **more: object) -> dict:
    """Arguments of `add_argument`; a metavar that names a file or folder makes the value a path."""
    if metavar and {"FILE", "FOLDER"} & {*metavar.replace(".", "_").split("_")}:
        more = {"type": Path} | more
    return {"metavar": metavar, "help": help} | more


def switch(help: str) -> dict:
    """An option without a value."""
    return {"action": "store_true", "help": help}


def chosen_of(*choices: str, default: str | None = None, help: str | None = None) -> dict:
    """One of some words, the first by default."""
    return {"choices": choices, "default": default or choices[0], "help": help}


def out(help: str, default: str | None = None, metavar: str = "FOLDER") -> Options:
    """`--out`, which is required where there is no default."""
    path = Path(default) if default else None
    return {"--out": option(metavar, help, default=path, required=not default)}


SHARED: Options = {  # by several commands
    "--settings": option("FILE", "controls and key saved by the explorer; options win"),
    "--key": option(
        "FILE",
        "secret: the same person gets the same new face (default: the one in --settings, or a new one)",
    ),
    "--method": chosen_of(
        *METHODS,
        help="encode, by the trained encoder, takes a second a face (auto, the default, where there is "
        "one); optimize takes a minute; one-pass, the linear start, is the coarsest",
    ),
    "--generator": chosen_of("mobile", "stylegan2"),
    "--generator-weights": option(
        "FILE", "of stylegan2: .pkl of NVIDIA, .pt of rosinality, or .safetensors of their tensors"
    ),
    "--device": chosen_of("auto", "cpu", "cuda"),
    "--unseen": option("FILE.onnx", "a recogniser that took no part"),
    "--unseen-options": option(
        "JSON",
        'its crop, scaling and threshold, such as {"size": 112, "bgr": true, "threshold": 0.6}',
        type=json.loads,
        default={},
    ),
    "--fallback": chosen_of(
        *FALLBACKS,
        help="how a face is covered that cannot be generated (exit status 3); none refuses the photo",
    ),
    "--keep-metadata": option(
        "GROUPS",
        "EXIF that stays: date,camera,copyright,gps (default none); never a thumbnail or MakerNote",
        type=names,
        default=(),
    ),
}
PARTS = ("--method", "--generator", "--generator-weights", "--device")  # what makes the pictures


def shared(*flags: str) -> Options:
    """Some of the options that several commands have."""
    return {flag: SHARED[flag] for flag in flags}


def controls(without: Sequence[str] = ()) -> Options:
    """An option for every field of `Controls`, a file of them, and the key."""
    made = shared("--settings")
    for one in fields(Controls):
        kind = names if isinstance(one.default, tuple) else KINDS[one.type.split()[0]]
        how = option(one.metadata["metavar"], one.metadata["help"], type=kind)
        if kind is bool:
            how = switch(one.metadata["help"]) | {"default": None}
        if one.name not in without:
            made["--" + one.name.replace("_", "-")] = how
    return made | shared("--key")


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
    """The secret in a file. Raises `InputMissing`, or `InputDamaged` for one that is too short."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputMissing(
            f"key file {path} cannot be read ({error.strerror}); make one with: "
            f'python -c "import secrets; print(secrets.token_hex(32))" > {path}'
        ) from None
    check_key(key, f"key file {path}")
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
