"""`anonlab video`: one clip; `anonlab scale`: millions of photos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...controls import FACES
from .options import (
    COVERED,
    FAILED,
    PARTS,
    chosen_controls,
    chosen_key,
    chosen_of,
    command,
    complain,
    controls,
    option,
    out,
    positive,
    seconds,
    shared,
    switch,
)

# fmt: off
VIDEO = {
    "clip": {"type": Path, "metavar": "CLIP"},
    **out("the result; in a folder it keeps the clip's name", metavar="FILE_OR_FOLDER"),
    **controls(without=("target_distance", "refine_steps")),
    **shared("--fallback", "--device"),
    "--from": option("SECONDS", "the result begins here; also as 1:30", dest="start", type=seconds,
                     default=0.0),
    "--to": option("SECONDS", "and ends before this", dest="end", type=seconds, default=float("inf")),
    "--resume": switch("go on with a run that was stopped"),
    "--json": option("FILE", "where a record goes"),
}
SCALE = {
    "photos": option("MANIFEST.parquet|FOLDER", "a Parquet file with a column path (files or URLs) and "
                     "perhaps id, or a folder of photos", type=Path),
    **out("folder for results, manifest and job"),
    "--workers": option("N", "processes that anonymize (default: one a CPU)", type=positive),
    "--rows-per-part": option("N", "photos in a part of the manifest (default 100); as many are done "
                              "again when a worker dies", type=positive, default=100),
    **controls(),
    **shared(*PARTS, "--fallback", "--keep-metadata"),
    "--faces": chosen_of(*FACES),
    "--resume": switch("go on with a job that was stopped"),
}
# fmt: on


@command(
    "video",
    VIDEO,
    help="anonymize a clip: a video, or an animated GIF, WebP or PNG",
    description="Every face is followed through the clip; a person has one new face in all of it. "
    "Timestamps, sound and what is outside of faces stay; place, time, titles and other data that the "
    "file carries do not. A clip in which no face is found is not written. Exit status: 0 all faces "
    "were replaced, 1 nothing was written, or only the frames that can be decoded, 2 bad usage, 3 in "
    "some frames a face is only covered.",
)
def anonymize_video(options: argparse.Namespace) -> int:
    """A clip in, an anonymized clip out."""
    from ...files import write_json
    from ...pipeline import Anonymizer
    from ..video.anonymize_clip import anonymize_clip
    from ..video.clips import open_clip

    chosen, key = chosen_controls(options), chosen_key(options)
    folder = options.out.is_dir() or not options.out.suffix
    result = options.out / options.clip.name if folder else options.out
    # what is wrong with it is said before networks are loaded
    open_clip(options.clip, result, options.start, options.end)
    record = anonymize_clip(
        Anonymizer.load(device=options.device, key=key), options.clip, result, chosen,
        fallback=options.fallback, start=options.start, end=options.end, key=key,
        resume=options.resume, progress=sys.stderr.isatty(),
    )  # fmt: skip
    if options.json:
        write_json(options.json, record)
    covered = sum(len(track["covered_frames"]) for track in record["tracks"])
    people = len({track["person"] for track in record["tracks"]})
    print(
        f"{record['source']} -> {record['output']} ({record['frames']} frames, {people} "
        f"{'person' if people == 1 else 'people'}, {record['frames_per_second']:.2f} frames/s)"
    )
    if record["left_out"]:
        print(f"left out: {'; '.join(record['left_out'])}")
    if covered:
        complain(f"in {covered} frames a face could not be replaced and is covered ({options.fallback})")
    if record["lost_frames"]:
        complain(f"{record['lost_frames']} frames cannot be decoded and are missing")
        return FAILED
    return COVERED if covered else 0


@command(
    "scale",
    SCALE,
    help="anonymize millions of photos: many processes, a job that resumes",
    description="Results are in OUT/photos, named by a keyed hash; OUT/manifest (Parquet) has a row for "
    "every photo, also one that failed. Needs: pip install anonlab[scale]. Exit status: 0 all done, 1 "
    "some photos failed, 2 bad usage, 3 all is done, but a face could only be covered.",
)
def anonymize_at_scale(options: argparse.Namespace) -> int:
    """A manifest or folder in, hashed names and a manifest out."""
    from ..scale import anonymize_set

    weights = options.generator_weights
    found = anonymize_set(
        options.photos, options.out, chosen_key(options), chosen_controls(options),
        workers=options.workers, rows_per_part=options.rows_per_part, resume=options.resume,
        progress=sys.stderr.isatty(), faces=options.faces, fallback=options.fallback,
        keep_metadata=tuple(options.keep_metadata), generator=options.generator,
        generator_weights=str(weights.absolute()) if weights else None, method=options.method,
        device=options.device,
    )  # fmt: skip
    print(
        f"{found.photos} photos: {found.photos - found.failed} anonymized, {found.failed} failed, "
        f"{found.covered} with a face that is only covered; manifest: {options.out / 'manifest'}"
    )
    return FAILED if found.failed else COVERED if found.covered else 0
