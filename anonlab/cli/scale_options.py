"""The options of `python -m anonlab scale`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..controls import FACES


def add_scale(menu: argparse._SubParsersAction, command: Callable, shared: tuple[Callable, ...]) -> None:
    """Add the command to the menu. `shared` adds the options that `anonymize` has too."""
    one = menu.add_parser(
        "scale",
        help="anonymize millions of photos: many processes, a job that resumes",
        description="Results are in OUT/photos, named by a keyed hash; OUT/manifest (Parquet) has a row "
        "for every photo, also one that failed. Needs: pip install anonlab[scale]. Exit status: 0 all "
        "done, 1 some photos failed, 2 bad usage, 3 all is done, but a face could only be covered.",
    )
    one.add_argument(
        "photos", type=Path, metavar="MANIFEST.parquet|FOLDER",
        help="a Parquet file with a column path (files or URLs) and perhaps id, or a folder of photos",
    )  # fmt: skip
    one.add_argument("--out", required=True, type=Path, help="folder for results, manifest and job")
    one.add_argument(
        "--workers", type=positive, metavar="N", help="processes that anonymize (default: one a CPU)"
    )
    one.add_argument(
        "--rows-per-block", type=positive, default=100, metavar="N",
        help="photos in a part of the manifest (default 100); as many are done again when a worker dies",
    )  # fmt: skip
    for add in shared:
        add(one)
    one.add_argument("--faces", choices=FACES, default="all")
    one.add_argument("--resume", action="store_true", help="go on with a job that was stopped")
    one.set_defaults(command=command)


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value
