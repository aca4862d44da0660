"""What each command of `python -m anonlab` does, and what it says when it is done.

Every function takes the parsed options and returns the exit status. Imports are inside, so that
`--help` and a mistyped option do not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..album import Album
    from ..controls import Controls
    from ..pipeline import Anonymizer

COVERED = 3  # exit status: all photos are written, but a face could only be covered


def chosen_controls(options: argparse.Namespace) -> Controls:
    """The controls of a settings file, and over them those that were given as options.

    Area and threshold are two ways to say one mask: an area that is given replaces a saved threshold.
    """
    from ..controls import Controls, make_controls, read_settings

    saved = read_settings(options.settings).controls if options.settings else {}
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    given = {name: value for name, value in given.items() if value is not None}
    if "mask_area" in given:
        saved = saved | {"mask_threshold": None}
    return make_controls(saved | given)


def chosen_key(options: argparse.Namespace) -> bytes | None:
    """The secret: of `--key`, or else of the settings file; None for a new one."""
    from ..controls import read_settings
    from .batch import read_key

    if options.key:
        return read_key(options.key)
    saved = read_settings(options.settings).key if options.settings else None
    return saved.encode() if saved else None


def album(options: argparse.Namespace) -> int:
    """`anonlab album`: first find out who is in the photos, then anonymize them all.

    The key is made if its file does not exist; with it, who is in the album is kept for the next photos.
    """
    from ..album import Album
    from .batch import make_key
    from .sources import plan

    if options.preview:
        return preview(options)
    if options.key:
        make_key(options.key)
    elif not chosen_key(options):
        options.key = options.out / "album.key"
        make_key(options.key)
    key = chosen_key(options)

    def people(anonymizer: Anonymizer) -> Album:
        kept = options.out / "album.people"
        found = Album.open(kept, key, anonymizer)
        before = len(found.people)
        count = found.look(anonymizer, [source for source, _ in plan(options.photos, options.out)])
        found.save(kept, key)
        print(f"{count} faces of {len(found.people)} people, {len(found.people) - before} of them new")
        return found

    return anonymize(options, people)


def anonymize(options: argparse.Namespace, people: Callable[[Anonymizer], Album] | None = None) -> int:
    """`anonlab anonymize`: photos in, anonymized photos and a record out. `people` finds out who is in
    them, for an album."""
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
    if options.verify and verify_record(anonymizer, record, options):
        return 1
    return status


def tell_photos(record: dict) -> int:
    """A line for every photo; the exit status: 1 if one failed, `COVERED` if a face was only covered."""
    failed = covered = 0
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
                complain(f"face {face['number']} is covered, not replaced: {face['reason']}")
    return 1 if failed else COVERED if covered else 0


def what_became_of(face: dict) -> str:
    """A face of the record in a few words."""
    if "left" in face:
        return f"{face['number']} left alone"
    if "covered" in face:
        return f"{face['number']} covered"
    return f"distance {face['distance']:.2f}"


def preview(options: argparse.Namespace) -> int:
    """`anonymize --preview`: which number each face has, and nothing else is done."""
    from ..errors import AnonlabError
    from ..files import atomic_path
    from ..photo.detection import Detector
    from ..photo.numbered import numbered
    from ..photo.photos import read_photo
    from .sources import plan

    detector, failed = Detector(), 0
    for source, output in plan(options.photos, options.out):
        try:
            photo = read_photo(source)
            found = detector(photo)
            target = output.with_name(f"{output.name}.faces.png")
            with atomic_path(target) as partial:
                numbered(photo, found).save(partial, format="png")
        except AnonlabError as error:
            failed += 1
            complain(error)
            continue
        print(printable(f"{source} -> {target} ({len(found)} face{'s' * (len(found) != 1)})"))
    return 1 if failed else 0


def anonymize_video(options: argparse.Namespace) -> int:
    """`anonlab video`: a clip in, an anonymized clip out."""
    from ..files import write_json
    from ..pipeline import Anonymizer
    from ..video.anonymize_clip import anonymize_clip
    from ..video.opening import open_clip

    controls, key = chosen_controls(options), chosen_key(options)
    folder = options.out.is_dir() or not options.out.suffix
    out = options.out / options.clip.name if folder else options.out
    open_clip(options.clip, out)  # what is wrong with it is said before networks are loaded
    anonymizer = Anonymizer.load(device=options.device, key=key)
    try:
        record = anonymize_clip(
            anonymizer, options.clip, out, controls, fallback=options.fallback, start=options.start,
            end=options.end, key=key, resume=options.resume, progress=sys.stderr.isatty(),
        )  # fmt: skip
    except KeyboardInterrupt:
        complain("stopped; the same command with --resume goes on")
        return 130
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
    return COVERED if covered else 0


def anonymize_at_scale(options: argparse.Namespace) -> int:
    """`anonlab scale`: a manifest or folder in, hashed names and a manifest out."""
    from ..scale import anonymize_set

    weights = options.generator_weights
    try:
        found = anonymize_set(
            options.photos, options.out, chosen_key(options), chosen_controls(options),
            workers=options.workers, rows_per_block=options.rows_per_block, resume=options.resume,
            progress=sys.stderr.isatty(), faces=options.faces, fallback=options.fallback,
            keep_metadata=tuple(options.keep_metadata), generator=options.generator,
            generator_weights=str(weights.absolute()) if weights else None, method=options.method,
            device=options.device,
        )  # fmt: skip
    except KeyboardInterrupt:
        complain("stopped; the same command with --resume goes on")
        return 130
    print(
        f"{found.photos} photos: {found.photos - found.failed} anonymized, {found.failed} failed, "
        f"{found.covered} with a face that is only covered; manifest: {options.out / 'manifest'}"
    )
    return 1 if found.failed else COVERED if found.covered else 0


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


def verify(options: argparse.Namespace) -> int:
    """`anonlab verify`: a table, a page, and status 1 if anything leaks."""
    from ..device import pick_device
    from ..files import output_folder, write_json
    from ..photo.detection import Detector
    from ..recognizers import load_recognizer
    from ..verify import pair_photos, report, verify_pairs

    output_folder(options.out)
    pairs = pair_photos(options.originals, options.anonymized)
    device = pick_device(options.device)
    checks = verify_pairs(
        pairs, Detector(device), load_recognizer("dlib", device=device), options.unseen,
        options.unseen_options, device, progress=sys.stderr.isatty(),
    )  # fmt: skip
    leaks = report(checks, options.out / "verify.html")
    write_json(options.out / "verify.json", [one.record() for one in checks])
    return 1 if leaks else 0


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"anonlab: {printable(message)}", file=sys.stderr)


def run_notebooks(options: argparse.Namespace) -> int:
    """`anonlab run`: every notebook by papermill, and an index of what they made."""
    from ..runner.report import run

    status = run(
        options.profile,
        options.only,
        options.out,
        options.parameter,
        accepted=options.accepted,
        accept=options.accept,
        seeds=options.seeds,
    )
    print("to browse them as a book, in a minute at most: make course")
    return status


def make_course(options: argparse.Namespace) -> int:
    """`anonlab course`: executed notebooks as a book that needs no network."""
    from ..runner.course import build_course

    missing = build_course(options.runs, options.out)
    if missing:
        print(f"not run yet, so shown without results: {', '.join(missing)}; run: make run")
    print(f"course: {options.out / 'index.html'}")
    return 0


def train_network(options: argparse.Namespace) -> int:
    """`anonlab train`: weights, a card, a log and its curves."""
    from ..training.command import train_part

    names = (
        "what device generator generator_weights size samples photos latent_share start resume minutes "
        "ship steps batch learning_rate validate_every seed"
    )
    chosen = {name: getattr(options, name) for name in names.split()}
    out = options.out or Path("outputs/train") / options.what
    card = train_part(out=out, progress=sys.stderr.isatty(), **chosen)
    if card:
        print(json.dumps(card, indent=2))
    return 0


def evaluate_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate`: every method on the same people; stopped and started again it goes on."""
    from ..evaluation.attackers.pairs import GENERATED
    from ..evaluation.command import evaluate_sources, write_report
    from ..evaluation.methods import Protocol

    if options.default_only:
        protocol = Protocol.default_only(options.seed)
    else:
        protocol = Protocol(
            optimised=options.optimised, calibrated=options.calibrated, seed=options.seed
        )
    sources = dict(source_and_count(text) for text in options.people)
    learn_from = None
    if options.attackers is not None:
        learn_from = dict(source_and_count(text) for text in options.attackers or [GENERATED])
    report = evaluate_sources(
        sources, protocol, options.out / "people", options.unseen, options.unseen_options,
        options.device, progress=True, learn_from=learn_from,
    )  # fmt: skip
    write_report(report, options.out)
    print(report.headline)
    for one in report.evaluation.problems:
        complain(f"{one['person']}: {one['problem']}")
    print(f"written to {options.out}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """`folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)


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
    return 1 if broken else 0
