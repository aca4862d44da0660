"""`anonlab anonymize`: photos in, anonymized photos and a record out.

Imports are inside, here as in every command, so that `--help` and a mistyped option do not wait for
torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import printable
from .options import (
    COVERED,
    FAILED,
    PARTS,
    add,
    add_controls,
    chosen_controls,
    chosen_key,
    complain,
    faces,
    sentence,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..album import Album
    from ..pipeline import Anonymizer


def add_anonymize(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    one = menu.add_parser("anonymize", help="anonymize photos or folders of photos")
    add_photo_options(one)
    one.set_defaults(command=anonymize)


def add_photo_options(one: argparse.ArgumentParser) -> None:
    """All options of `anonymize`, which `album` has too."""
    one.add_argument("photos", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER")
    one.add_argument("--out", required=True, type=Path, help="folder for the results")
    add_controls(one)
    one.add_argument(
        "--faces",
        type=faces,
        default="all",
        metavar="all|largest|1,3",
        help="which of them, 1 for the largest; --preview shows the numbers",
    )
    people = {"type": Path, "nargs": "+", "default": (), "metavar": "PHOTO"}
    one.add_argument("--leave", help="people to leave alone: the largest face of each photo", **people)
    one.add_argument(
        "--only", help="anonymize nobody but these people, and who might be one of them", **people
    )
    one.add_argument(
        "--preview",
        action="store_true",
        help="only write pictures that number the faces, which are covered in them",
    )
    add(one, *PARTS, "--fallback", "--keep-metadata")
    one.add_argument(
        "--json",
        type=Path,
        default=None,
        metavar="FILE",
        help="where the record goes (default OUT/record.json)",
    )
    one.add_argument(
        "--resume",
        action="store_true",
        help="leave alone what the record says is done: the same photo, settings and key",
    )
    one.add_argument(
        "--verify", action="store_true", help="check the results as `anonlab verify` does, at the end"
    )


def anonymize(options: argparse.Namespace, people: Callable[[Anonymizer], Album] | None = None) -> int:
    """`anonlab anonymize`: photos in, anonymized photos and a record out. `people` finds out who is in
    them, for an album."""
    from ..album import RememberingDetector
    from ..pipeline import Anonymizer
    from .batch import anonymize_files

    if options.preview:
        return preview(options)
    controls, key = chosen_controls(options), chosen_key(options)
    anonymizer = Anonymizer.load(
        options.generator,
        options.method,
        options.device,
        key,
        generator_path=options.generator_weights,
    )
    if people:  # who goes through the photos first, to find out who is in them
        anonymizer = anonymizer.replace(detector=RememberingDetector(anonymizer.detector))
    record = anonymize_files(
        anonymizer,
        options.photos,
        options.out,
        controls,
        options.faces,
        options.json or options.out / "record.json",
        progress=sys.stderr.isatty(),
        fallback=options.fallback,
        leave=options.leave,
        only=options.only,
        known=people(anonymizer).known if people else None,
        resume=options.resume,
        keep_metadata=options.keep_metadata,
        key=key,
        made_by=parts_of(options) | ({"album": True} if people else {}),
        tell=complain,
    )
    status = tell_photos(record)
    show_left(record, anonymizer, (options.json or options.out / "record.json").parent / "left.html")
    if options.verify and verify_record(anonymizer, record, options):
        return FAILED
    return status


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
    from ..files import atomic_path
    from ..photo.numbered import left_page

    if any(face.get("taken_for") for photo in record["photos"] for face in photo["faces"]):
        with atomic_path(page) as partial:
            partial.write_text(left_page(record, anonymizer.detector), encoding="utf-8")
        print(f"who was left alone: {page}")


def parts_of(options: argparse.Namespace) -> dict[str, object]:
    """What made the pictures, beside controls and key: for the record, and for `--resume`."""
    weights = options.generator_weights
    return {
        "generator": options.generator,
        "generator_weights": str(weights) if weights else None,
        "method": options.method,
    }


def verify_record(anonymizer: Anonymizer, record: dict, options: argparse.Namespace) -> int:
    """`anonymize --verify`: check what was just written; the number of leaks."""
    from ..verify import pairs_of_record, report, verify_pairs

    place = (options.json or options.out / "record.json").parent
    checks = verify_pairs(
        pairs_of_record(record), anonymizer.detector, anonymizer.recognizer, device=anonymizer.device,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
    return report(checks, place / "verify.html")


def preview(options: argparse.Namespace) -> int:
    """`anonymize --preview`: which number each face has and which stay, and nothing else is done."""
    from ..files import atomic_path
    from ..photo.detection import Detector
    from ..photo.numbered import numbered
    from ..photo.photos import read_photo
    from ..pipeline import Anonymizer
    from ..selection import Selection
    from .sources import Targets, plan

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
        try:
            targets.check(source, target)
            photo = read_photo(source)
            found = detector(photo)
            left = anonymizer.left(photo, dict(enumerate(found, 1)), selection) if selection else []
            stays = {one.number: f"{Path(one.taken_for).name} ({one.nearness:.2f})" for one in left}
            with atomic_path(target) as partial:
                numbered(photo, found, stays).save(partial, format="png")
        except Exception as error:  # whatever it is, the other photos are still done
            failed += 1
            complain(sentence(error, source))
            continue
        targets.taken.add(target)
        print(printable(f"{source} -> {target} ({len(found)} face{'s' * (len(found) != 1)})"))
    tell_left_out(one._asdict() for one in left_out)
    return FAILED if failed else 0
