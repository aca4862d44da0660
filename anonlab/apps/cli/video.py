"""`anonlab video`: a clip in, an anonymized clip out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .options import (
    COVERED,
    FAILED,
    STOPPED,
    add,
    add_controls,
    chosen_controls,
    chosen_key,
    complain,
    seconds,
)


def add_video(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    one = menu.add_parser(
        "video",
        help="anonymize a clip: a video, or an animated GIF, WebP or PNG",
        description="Every face is followed through the clip; a person has one new face in all of it. "
        "Timestamps, sound and what is outside of faces stay; place, time, titles and other data that "
        "the file carries do not. A clip in which no face is found is not written. Exit status: 0 all "
        "faces were replaced, 1 nothing was written, or only the frames that can be decoded, 2 bad "
        "usage, 3 in some frames a face is only covered.",
    )
    one.add_argument("clip", type=Path, metavar="CLIP")
    one.add_argument(
        "--out", required=True, type=Path, metavar="FILE_OR_FOLDER",
        help="the result; in a folder it keeps the clip's name",
    )  # fmt: skip
    add_controls(one, without=("target_distance", "refine_steps"))
    add(one, "--fallback", "--device")
    one.add_argument(
        "--from", dest="start", type=seconds, default=0.0, metavar="SECONDS",
        help="the result begins here; also as 1:30",
    )  # fmt: skip
    one.add_argument(
        "--to", dest="end", type=seconds, default=float("inf"), metavar="SECONDS",
        help="and ends before this",
    )  # fmt: skip
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    one.add_argument("--json", type=Path, default=None, metavar="FILE", help="where a record goes")
    one.set_defaults(command=anonymize_video)


def anonymize_video(options: argparse.Namespace) -> int:
    """`anonlab video`: a clip in, an anonymized clip out."""
    from ...files import write_json
    from ...pipeline import Anonymizer
    from ..video.anonymize_clip import anonymize_clip
    from ..video.clips import open_clip

    controls, key = chosen_controls(options), chosen_key(options)
    folder = options.out.is_dir() or not options.out.suffix
    out = options.out / options.clip.name if folder else options.out
    # what is wrong with it is said before networks are loaded
    open_clip(options.clip, out, options.start, options.end)
    anonymizer = Anonymizer.load(device=options.device, key=key)
    try:
        record = anonymize_clip(
            anonymizer, options.clip, out, controls, fallback=options.fallback, start=options.start,
            end=options.end, key=key, resume=options.resume, progress=sys.stderr.isatty(),
        )  # fmt: skip
    except KeyboardInterrupt:
        complain("stopped; the same command with --resume goes on")
        return STOPPED
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
