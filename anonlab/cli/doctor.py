"""`anonlab doctor`: which weights are here."""

from __future__ import annotations

import argparse

from .options import FAILED


def add_doctor(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    doctor = menu.add_parser("doctor", help="which weights are here, what is missing")
    doctor.add_argument("--download", metavar="NAME", help="fetch one optional model")
    doctor.add_argument(
        "--sha256", default="", metavar="HEX", help="what the download must have, if you know it"
    )
    doctor.set_defaults(command=check_weights)


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
    return FAILED if broken else 0
