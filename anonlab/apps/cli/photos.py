"""Photos: `anonlab anonymize`, `album` (a person has one new face in all of them) and `verify`.

Imports are inside, here as in every command, so that `--help` and a mistyped option do not wait for
torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...files import printable
from .options import (
    COVERED,
    FAILED,
    PARTS,
    chosen_controls,
    chosen_key,
    command,
    complain,
    controls,
    faces,
    make_key,
    option,
    out,
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
    **shared(*PARTS, "--guide", "--guide-options", "--fallback", "--keep-metadata"),
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
# fmt: on


@command("anonymize", PHOTOS, help="anonymize photos or folders of photos")
def anonymize(options: argparse.Namespace, people: Callable[[Anonymizer], Album] | None = None) -> int:
    """Photos in, anonymized photos and a record out. `people` finds the people in them, for an album."""
    from ...pipeline import Anonymizer
    from ...recognizers import load_guide
    from ..album import RememberingDetector
    from ..folders.batch import anonymize_files
    from ..verify import pairs_of_record, report, verify_pairs

    if options.preview:
        return preview(options)
    chosen, key, weights = chosen_controls(options), chosen_key(options), options.generator_weights
    guides = (options.guide,) if options.guide else ()
    made_by = {
        "generator": options.generator,
        "generator_weights": str(weights) if weights else None,
        "method": options.method,
        **({"guide": [str(options.guide), options.guide_options]} if options.guide else {}),
        **({"album": True} if people else {}),
    }
    anonymizer = Anonymizer.load(
        options.generator, options.method, options.device, key, generator_path=weights,
        guides=[load_guide(one, options.device, **options.guide_options) for one in guides],
    )  # fmt: skip
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
    show_left(record, anonymizer, path.with_name("left.html"))
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


def preview(options: argparse.Namespace) -> int:
    """`anonymize --preview`: which number each face has and which stay, and nothing else is done."""
    from ...files import atomic_path
    from ...photo.detection import Detector
    from ...photo.numbered import numbered
    from ...photo.photos import read_photo
    from ...pipeline import Anonymizer
    from ...selection import Selection
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
    tell_left_out(one._asdict() for one in left_out)
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
        faces = ", ".join(what_became_of(face) for face in photo["faces"])
        print(printable(f"{photo['source']} -> {photo['output']} ({faces})"))
        for face in photo["faces"]:
            if "covered" in face:
                covered += 1
                doubt = ", and may be no face" if face.get("doubtful") else ""
                complain(f"face {face['number']} is covered{doubt}, not replaced: {face['reason']}")
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


def what_became_of(face: dict) -> str:
    """A face of the record in a few words."""
    if face.get("taken_for"):
        return f"{face['number']} left alone, taken for {face['taken_for']}: {face['nearness']:.2f}"
    if "left" in face:
        return f"{face['number']} left alone"
    if "covered" in face:
        return f"{face['number']} covered"
    return f"distance {face['distance']:.2f}"


def show_left(record: dict, anonymizer: Anonymizer, page: Path) -> None:
    """Write a page of the faces that were left for `--leave`, beside the people they were taken for."""
    from ...files import atomic_path
    from ...photo.numbered import left_page

    if any(face.get("taken_for") for photo in record["photos"] for face in photo["faces"]):
        with atomic_path(page) as partial:
            partial.write_text(left_page(record, anonymizer.detector), encoding="utf-8")
        print(f"faces that were left alone: {page}")
