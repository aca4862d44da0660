"""The options of `python -m anonlab video`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..controls import FALLBACKS


def add_video(
    menu: argparse._SubParsersAction, command: Callable, share: Callable, names: Callable
) -> None:
    """Add the command to the menu. `share` and `names` read a number from 0 to 1 and a list."""
    one = menu.add_parser(
        "video",
        help="anonymize a clip: a video, or an animated GIF, WebP or PNG",
        description="Every face is followed through the clip; a person has one new face in all of it. "
        "Timestamps, sound and what is outside of faces stay; place, time, titles and other data that "
        "the file carries do not. A clip in which no face is found is not written. Exit status: 0 all "
        "faces were replaced, 1 nothing was written, 2 bad usage, 3 in some frames a face is only "
        "covered.",
    )
    one.add_argument("clip", type=Path, metavar="CLIP")
    one.add_argument(
        "--out", required=True, type=Path, metavar="FILE_OR_FOLDER",
        help="the result; in a folder it keeps the clip's name",
    )  # fmt: skip
    one.add_argument(
        "--mask-area", type=share, metavar="0-1",
        help="share of the aligned picture that is regenerated (default 0.25: about three quarters of "
        "the face); faces that need more get it",
    )  # fmt: skip
    one.add_argument("--seed", type=int, help="which virtual identity (default 0)")
    one.add_argument("--keep", type=names, help="attributes to share, or none (default gender,age,tone)")
    one.add_argument(
        "--key", type=Path, default=None, metavar="FILE",
        help="secret: with it the same clip gets the same new faces (default: a new one, forgotten)",
    )  # fmt: skip
    one.add_argument(
        "--from", dest="start", type=seconds, default=0.0, metavar="SECONDS",
        help="the result begins here; also as 1:30",
    )  # fmt: skip
    one.add_argument(
        "--to", dest="end", type=seconds, default=float("inf"), metavar="SECONDS",
        help="and ends before this",
    )  # fmt: skip
    one.add_argument(
        "--fallback", choices=FALLBACKS, default="blur",
        help="what covers a face in frames in which the new one fails (default blur); with none the "
        "clip is not written",
    )  # fmt: skip
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    one.add_argument("--json", type=Path, default=None, metavar="FILE", help="where a record goes")
    one.set_defaults(command=command, settings=None)


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them: `90`, `1:30`, `0:01:30.5`."""
    parts = text.split(":")
    value = 0.0
    for part in parts:
        value = 60 * value + float(part)
    if value < 0 or len(parts) > 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, or minutes:seconds")
    return value
