"""What people run on files: `anonlab anonymize`, `album` (a person has one new face in all photos),
`verify`, `video` (a clip) and `scale` (millions of photos).

Imports are inside, here as in every command, so that `--help` and a mistyped option do not wait for
torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...controls import FACES
from ...files import printable
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
    faces,
    make_key,
    option,
    out,
    positive,
    seconds,
    shared,
    switch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...pipeline import Anonymizer
    from ..album import Album

# fmt: off
PEOPLE = {"type": Path, "nargs": "+", "default": ()}
PHOTOS = {
    "photos": {"nargs": "+", "type": Path, "metavar": "PHOTO_OR_FOLDER"},
    **out("folder for the results"),
    **controls(),
    "--faces": option("all|largest|1,3", "which of them, 1 for the largest; --preview shows the numbers",
                      type=faces, default="all"),
    "--leave": option("PHOTO", "people to leave alone: the largest face of each photo", **PEOPLE),
    "--only": option("PHOTO", "anonymize only faces that may be these people, the largest of each photo",
                     **PEOPLE),
    "--preview": switch("only write pictures that number the faces, which are covered in them"),
    **shared(*PARTS, "--fallback", "--keep-metadata"),
    "--json": option("FILE", "where the record goes (default OUT/record.json)"),
    "--resume": switch("leave alone what the record says is done: the same photo, settings and key"),
    "--verify": switch("check the results as `anonlab verify` does, at the end"),
}
VERIFY = {
    "originals": {"type": Path, "help": "a photo or a folder"},
    "anonymized": {"type": Path, "help": "a photo, or a folder of the same names"},
    **out("folder for the page and its numbers", "outputs/verify"),
    **shared("--unseen", "--unseen-options", "--device"),
}
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


@command("anonymize", PHOTOS, help="anonymize photos or folders of photos")
def anonymize(options: argparse.Namespace, people: Callable[[Anonymizer], Album] | None = None) -> int:
    """Photos in, anonymized photos and a record out. `people` finds the people in them, for an album."""
    from ...files import atomic_path
    from ...pipeline import Anonymizer
    from ..album import RememberingDetector
    from ..folders.batch import anonymize_files
    from ..folders.numbered import left_page
    from ..verify import pairs_of_record, report, verify_pairs

    if options.preview:
        return preview(options)
    chosen, key, weights = chosen_controls(options), chosen_key(options), options.generator_weights
    made_by = {"generator": options.generator, "generator_weights": weights and str(weights)}
    made_by |= {"method": options.method} | ({"album": True} if people else {})
    anonymizer = Anonymizer.load(
        options.generator, options.method, options.device, key, generator_path=weights
    )
    if people:  # which goes through the photos before they are anonymized
        anonymizer = anonymizer.replace(detector=RememberingDetector(anonymizer.detector))
    path = options.json or options.out / "record.json"
    record = anonymize_files(
        anonymizer, options.photos, options.out, chosen, options.faces, path, sys.stderr.isatty(),
        fallback=options.fallback, leave=options.leave, only=options.only,
        known=people(anonymizer).known if people else None, resume=options.resume,
        keep_metadata=options.keep_metadata, key=key, made_by=made_by,
    )  # fmt: skip
    status = tell_photos(record)
    if any(face.get("taken_for") for photo in record["photos"] for face in photo["faces"]):
        page = path.with_name("left.html")
        with atomic_path(page) as partial:
            partial.write_text(left_page(record, anonymizer.detector), encoding="utf-8")
        print(f"faces that were left alone: {page}")
    if not options.verify:
        return status
    checks = verify_pairs(
        pairs_of_record(record), anonymizer.detector, anonymizer.recognizer, device=anonymizer.device,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
    return FAILED if report(checks, path.with_name("verify.html")) else status


@command("album", PHOTOS, help="the same, and a person gets one new face in all photos, also later ones")
def album(options: argparse.Namespace) -> int:
    """First find the people in the photos, then anonymize them all.

    The key is made if its file does not exist; with it, the album's people are kept for the next photos.
    """
    from ...files import folder_lock, output_folder
    from ..album import Album
    from ..folders.sources import plan

    if options.preview:
        return preview(options)
    output_folder(options.out)
    if not options.key and not chosen_key(options):
        options.key = options.out / "album.key"
    if options.key:
        with folder_lock(options.out):
            make_key(options.key)
    key = chosen_key(options)

    def people(anonymizer: Anonymizer) -> Album:
        kept = options.out / "album.people"
        with folder_lock(options.out):
            found = Album.open(kept, key, anonymizer)
            before = len(found.people)
            photos = [source for source, _ in plan(options.photos, options.out)[0]]
            count = found.look(anonymizer, photos, sys.stderr.isatty())
            found.save(kept, key)
        print(f"{count} faces of {len(found.people)} people, {len(found.people) - before} of them new")
        return found

    return anonymize(options, people)


@command("verify", VERIFY, help="compare photos with their anonymized ones, and name every leak")
def verify(options: argparse.Namespace) -> int:
    """A table, a page, and status 1 if anything leaks."""
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


def preview(options: argparse.Namespace) -> int:
    """`anonymize --preview`: which number each face has and which stay, and nothing else is done."""
    from ...files import atomic_path
    from ...photo.detection import Detector
    from ...photo.photos import read_photo
    from ...pipeline import Anonymizer
    from ...selection import Selection
    from ..folders.numbered import numbered
    from ..folders.sources import Targets, plan

    anonymizer = selection = None
    if options.leave:
        anonymizer = Anonymizer.load(device=options.device)
        names = [str(path) for path in options.leave]
        selection = Selection(leave=anonymizer.recognise(options.leave), names=names)
    pairs, left_out = plan(options.photos, options.out)
    detector = anonymizer.detector if anonymizer else Detector()
    targets, failed = Targets(pairs, options.out), 0
    for source, output in pairs:
        target = output.with_name(f"{output.name}.faces.png")

        def number(source: Path = source, target: Path = target) -> int:
            photo = read_photo(source)
            found = detector(photo)
            left = anonymizer.left(photo, dict(enumerate(found, 1)), selection) if selection else []
            stays = {one.number: f"{Path(one.taken_for).name} ({one.nearness:.2f})" for one in left}
            with atomic_path(target) as partial:
                numbered(photo, found, stays).save(partial, format="png")
            return len(found)

        count, error = targets.attempt(source, target, number)
        if error:
            failed += 1
            complain(error)
        else:
            print(printable(f"{source} -> {target} ({count} face{'s' * (count != 1)})"))
    tell_left_out(left_out)
    return FAILED if failed else 0


def tell_photos(record: dict) -> int:
    """A line for every photo; the exit status: 1 if one failed, `COVERED` if a face was only covered."""
    failed = covered = 0
    tell_left_out(record.get("left_out", ()))
    for photo in record["photos"]:
        if photo["error"]:
            failed += 1
            complain(photo["error"])
            continue
        said, doubts = [], []
        for face in photo["faces"]:
            if "covered" in face:
                said.append(f"{face['number']} covered")
                doubt = ", and may be no face" if face.get("doubtful") else ""
                doubts.append(f"face {face['number']} is covered{doubt}, not replaced: {face['reason']}")
            elif "left" in face:
                person = face.get("taken_for")
                why = f", taken for {person}: {face['nearness']:.2f}" if person else ""
                said.append(f"{face['number']} left alone{why}")
            else:
                said.append(f"distance {face['distance']:.2f}")
        print(printable(f"{photo['source']} -> {photo['output']} ({', '.join(said)})"))
        for doubt in doubts:
            complain(doubt)
        covered += len(doubts)
    return FAILED if failed else COVERED if covered else 0


def tell_left_out(left_out: Iterable[Mapping]) -> None:
    """Print a line for each kind of pictures in the folders that are not done; the record names every
    file."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in left_out:
        if one["remedy"]:
            kinds.setdefault((one["what"], one["remedy"]), []).append(str(one["source"]))
    for (what, remedy), names in kinds.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        complain(f"left out: {', '.join(names[:3])}{more} ({what}); {remedy}")
