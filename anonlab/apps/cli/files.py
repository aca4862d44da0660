"""What people run on files: photos and folders of photos, albums, their checks, clips, large jobs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path

from ...controls import Controls, make_controls
from ...device import pick_device
from ...files import atomic_path, folder_lock, output_folder, printable, write_json
from ...photo.detection import Detector
from ...photo.photos import read_photo
from ...pipeline import Anonymizer, Known
from ...recognizers import load_recognizer
from ...selection import Selection, left_faces
from ..album import Album, RememberingDetector, faces_in
from ..folders.batch import anonymize_files
from ..folders.numbered import left_page, numbered
from ..folders.settings import make_key, read_key, read_settings
from ..folders.sources import each, plan
from ..verify import pair_photos, report, verify_pairs
from .parser import COVERED, FAILED, complain


def chosen(options: argparse.Namespace) -> tuple[Controls, bytes | None]:
    """Read controls and secret: of a settings file, and over them those that were given as options; a
    secret of None is to be drawn. Raises `InputMissing`, `InputDamaged` or `UnknownOption`.

    Area and threshold are two ways to say one mask: an area that is given replaces a saved threshold.
    """
    saved, key = read_settings(options.settings) if options.settings else ({}, None)
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    given = {name: value for name, value in given.items() if value is not None}
    if "mask_area" in given:
        saved["mask_threshold"] = None
    return make_controls(saved | given), read_key(options.key) if options.key else key


def anonymize(options: argparse.Namespace, album: bool = False) -> int:
    """Write anonymized photos and a record; of an `album` the people are found first."""
    if options.preview:
        return preview(options)
    (controls, key), weights, known = chosen(options), options.generator_weights, None
    anonymizer = Anonymizer.load(
        options.generator, options.method, options.device, key, generator_path=weights
    )
    made_by = {"generator": options.generator, "generator_weights": weights and str(weights)}
    made_by |= {"method": options.method} | ({"album": True} if album else {})
    if album:
        anonymizer = anonymizer.replace(detector=RememberingDetector(anonymizer.detector))
        known = find_people(anonymizer, options, key)
    path = options.json or options.out / "record.json"
    record = anonymize_files(
        anonymizer, options.photos, options.out, controls, options.faces, path,
        fallback=options.fallback, leave=options.leave, only=options.only, known=known,
        resume=options.resume, keep_metadata=options.keep_metadata, key=key, made_by=made_by,
    )  # fmt: skip
    if any(face.get("taken_for") for photo in record["photos"] for face in photo["faces"]):
        page = left_page(record, anonymizer.detector, path.with_name("left.html"))
        print(f"faces that were left alone: {page}")
    return tell_photos(record)


def album(options: argparse.Namespace) -> int:
    """Do the same with the people of an album. The key, by which they are kept for the next photos, is
    made if its file does not exist."""
    if not options.preview and (options.key or not chosen(options)[1]):
        options.key = options.key or options.out / "album.key"
        with folder_lock(output_folder(options.out)):
            if make_key(options.key):
                print(f"a new key is in {options.key}: keep it, nothing else gives the same faces again")
    return anonymize(options, album=True)


def find_people(anonymizer: Anonymizer, options: argparse.Namespace, key: bytes) -> Known:
    """Find the people of an album: those that it knew, and those that its photos add. What cannot be
    read is passed over here: the run that anonymizes it next says why."""
    kept = output_folder(options.out) / "album.people"
    with folder_lock(options.out):
        people = Album.open(kept, key, anonymizer)
        before, (pairs, _) = len(people.people), plan(options.photos, options.out)
        looked = each(
            pairs, options.out, lambda photo, _: faces_in(anonymizer, photo), anonymizer.device
        )
        photos = [faces or [] for _, _, faces, _ in looked]
        people.add(photos)
        people.save(kept, key)
    print(
        f"{sum(map(len, photos))} faces of {len(people.people)} people, "
        f"{len(people.people) - before} of them new"
    )
    return people.known


def verify(options: argparse.Namespace) -> int:
    """Print a line a photo and write the numbers to a file; status 1 if anything leaks."""
    output_folder(options.out)
    pairs, left_out = pair_photos(options.originals, options.anonymized)
    tell_left_out(left_out)
    device = pick_device(options.device)
    guide = load_recognizer("dlib", device=device)
    checks = verify_pairs(pairs, Detector(device), guide, options.unseen, options.unseen_options)
    leaks = report(checks)
    write_json(options.out / "verify.json", [asdict(one) for one in checks])
    print(f"numbers: {options.out / 'verify.json'}")
    return FAILED if leaks else 0


def video(options: argparse.Namespace) -> int:
    """Anonymize a clip."""
    from ..video.anonymize_clip import anonymize_clip  # which needs `anonlab[video]`
    from ..video.clips import open_clip

    controls, key = chosen(options)
    folder = options.out.is_dir() or not options.out.suffix
    result = options.out / options.clip.name if folder else options.out
    # what is wrong with it is said before networks are loaded
    open_clip(options.clip, result, options.start, options.end)
    record = anonymize_clip(
        Anonymizer.load(device=options.device, key=key), options.clip, result, controls,
        fallback=options.fallback, start=options.start, end=options.end, key=key, resume=options.resume,
        review=options.review,
    )  # fmt: skip
    if options.json:
        write_json(options.json, record)
    covered = sum(len(track["covered_frames"]) for track in record["tracks"])
    people = len({track["person"] for track in record["tracks"]})
    print(
        f"{record['source']} -> {options.review or record['output']} ({record['frames']} frames, "
        f"{people} {'person' if people == 1 else 'people'}, {record['frames_per_second']:.2f} frames/s)"
    )
    if options.review:
        print("no clip yet: look at it, then --resume without --review writes it")
    if record["left_out"]:
        print(f"left out: {'; '.join(record['left_out'])}")
    if covered:
        complain(f"in {covered} frames a face could not be replaced and is covered ({options.fallback})")
    if record["lost_frames"]:
        complain(f"{record['lost_frames']} frames cannot be decoded and are missing")
        return FAILED
    return COVERED if covered else 0


def scale(options: argparse.Namespace) -> int:
    """Anonymize a manifest or folder into hashed names and a manifest."""
    from ..scale import anonymize_set  # which needs `anonlab[scale]`

    controls, key = chosen(options)
    if options.generator_weights:
        options.generator_weights = str(options.generator_weights.absolute())
    same = ("workers", "resume", "faces", "fallback", "keep_metadata", "generator",
            "generator_weights", "method", "device")  # fmt: skip
    made = anonymize_set(
        options.photos, options.out, key, controls, **{name: getattr(options, name) for name in same}
    )
    print(
        f"{made['photos']} photos: {made['photos'] - made['failed']} anonymized, {made['failed']} "
        f"failed, {made['covered']} with a face that is only covered; manifest: "
        f"{options.out / 'manifest'}"
    )
    return FAILED if made["failed"] else COVERED if made["covered"] else 0


def preview(options: argparse.Namespace) -> int:
    """Show which number each face has and which stay, and do nothing else."""
    device = pick_device(options.device)
    anonymizer = Anonymizer.load(device=options.device) if options.leave else None
    detector = anonymizer.detector if anonymizer else Detector(device)
    leave = anonymizer.recognise(options.leave) if anonymizer else None
    selection = Selection(leave=leave, names=[str(path) for path in options.leave])
    pairs, left_out = plan(options.photos, options.out)
    pairs = [(source, output.with_name(f"{output.name}.faces.png")) for source, output in pairs]

    def number(source: Path, target: Path) -> int:
        photo = read_photo(source)
        faces = detector(photo)
        left = anonymizer and left_faces(
            selection, anonymizer.recognizer, anonymizer.population, photo, dict(enumerate(faces, 1))
        )
        stays = {one.number: f"{Path(one.taken_for).name} ({one.nearness:.2f})" for one in left or []}
        with atomic_path(target) as partial:
            numbered(photo, faces, stays).save(partial, format="png")
        return len(faces)

    status = 0
    for source, target, count, error in each(pairs, options.out, number, device):
        if error:
            status = FAILED
            complain(error)
        else:
            print(printable(f"{source} -> {target} ({count} face{'s' * (count != 1)})"))
    tell_left_out(left_out)
    return status


def tell_photos(record: dict) -> int:
    """Print a line for every photo; returns 1 if one failed, `COVERED` if a face was only covered."""
    status = 0
    tell_left_out(record.get("left_out", ()))
    for photo in record["photos"]:
        if photo["error"]:
            status = FAILED
            complain(photo["error"])
            continue
        words = ", ".join(map(face_in_words, photo["faces"]))
        print(printable(f"{photo['source']} -> {photo['output']} ({words})"))
        for face in photo["faces"]:
            if "covered" in face:
                status = status or COVERED
                doubt = ", and may be no face" if face.get("doubtful") else ""
                complain(f"face {face['number']} is covered{doubt}, not replaced: {face['reason']}")
    return status


def face_in_words(face: Mapping) -> str:
    """Say what was done with a face, by its entry of the record."""
    if "covered" in face:
        return f"{face['number']} covered"
    if "left" in face:
        why = f", taken for {face['taken_for']}: {face['nearness']:.2f}" if "taken_for" in face else ""
        return f"{face['number']} left alone{why}"
    return f"distance {face['distance']:.2f}"


def tell_left_out(left_out: Iterable[Mapping]) -> None:
    """Print a line for each kind of pictures in the folders that are not done; the record names every
    file."""
    kinds: dict[str, list[str]] = {}
    for one in left_out:
        if one["remedy"]:
            kinds.setdefault(f"({one['what']}); {one['remedy']}", []).append(str(one["source"]))
    for kind, names in kinds.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        complain(f"left out: {', '.join(names[:3])}{more} {kind}")
