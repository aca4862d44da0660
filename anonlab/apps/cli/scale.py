"""`anonlab scale`: millions of photos, in many processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...controls import FACES
from .options import (
    COVERED,
    FAILED,
    PARTS,
    STOPPED,
    add,
    add_controls,
    chosen_controls,
    chosen_key,
    complain,
    positive,
)


def add_scale(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
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
        "--rows-per-part", type=positive, default=100, metavar="N",
        help="photos in a part of the manifest (default 100); as many are done again when a worker dies",
    )  # fmt: skip
    add_controls(one)
    add(one, *PARTS, "--fallback", "--keep-metadata")
    one.add_argument("--faces", choices=FACES, default="all")
    one.add_argument("--resume", action="store_true", help="go on with a job that was stopped")
    one.set_defaults(command=anonymize_at_scale)


def anonymize_at_scale(options: argparse.Namespace) -> int:
    """`anonlab scale`: a manifest or folder in, hashed names and a manifest out."""
    from ..scale import anonymize_set

    weights = options.generator_weights
    try:
        found = anonymize_set(
            options.photos, options.out, chosen_key(options), chosen_controls(options),
            workers=options.workers, rows_per_part=options.rows_per_part,
            resume=options.resume, progress=sys.stderr.isatty(), faces=options.faces,
            fallback=options.fallback, keep_metadata=tuple(options.keep_metadata),
            generator=options.generator,
            generator_weights=str(weights.absolute()) if weights else None, method=options.method,
            device=options.device,
        )  # fmt: skip
    except KeyboardInterrupt:
        complain("stopped; the same command with --resume goes on")
        return STOPPED
    print(
        f"{found.photos} photos: {found.photos - found.failed} anonymized, {found.failed} failed, "
        f"{found.covered} with a face that is only covered; manifest: {options.out / 'manifest'}"
    )
    return FAILED if found.failed else COVERED if found.covered else 0
