"""`anonlab verify`: look for leaks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .anonymize import tell_left_out
from .options import FAILED, add


def add_verify(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    check = menu.add_parser(
        "verify", help="compare photos with their anonymized ones, and name every leak"
    )
    check.add_argument("originals", type=Path, help="a photo or a folder")
    check.add_argument("anonymized", type=Path, help="a photo, or a folder of the same names")
    check.add_argument(
        "--out", type=Path, default=Path("outputs/verify"), help="folder for the page and its numbers"
    )
    add(check, "--unseen", "--unseen-options", "--device")
    check.set_defaults(command=verify)


def verify(options: argparse.Namespace) -> int:
    """`anonlab verify`: a table, a page, and status 1 if anything leaks."""
    from ...device import pick_device
    from ...files import output_folder, write_json
    from ...photo.detection import Detector
    from ...recognizers import load_recognizer
    from ..verify import not_compared, pair_photos, report, verify_pairs

    output_folder(options.out)
    pairs = pair_photos(options.originals, options.anonymized)
    tell_left_out(not_compared(options.originals, options.anonymized))
    device = pick_device(options.device)
    checks = verify_pairs(
        pairs, Detector(device), load_recognizer("dlib", device=device), options.unseen,
        options.unseen_options, device, progress=sys.stderr.isatty(),
    )  # fmt: skip
    leaks = report(checks, options.out / "verify.html")
    write_json(options.out / "verify.json", [one.record() for one in checks])
    return FAILED if leaks else 0
