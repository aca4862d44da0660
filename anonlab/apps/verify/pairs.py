"""Which anonymized photo belongs to which original, and what its record says."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputMissing
from ...photo.containers import CLIP
from ..folders.sources import digest, passed_over, plan

PHOTOS_ONLY = "verify compares photos only"


@dataclass(frozen=True)
class Pair:
    """Two files of one name; one of them may be missing."""

    name: str
    original: Path | None
    anonymized: Path | None
    left: tuple[tuple[float, ...], ...] = ()  # boxes of faces that were to stay, by the record
    kept: tuple[str, ...] = ()  # groups of EXIF fields that were to stay, by the record
    error: str | None = None  # why nothing was written, by the record


def pair_photos(originals: Path, anonymized: Path) -> tuple[list[Pair], list[dict]]:
    """Pair two folders by relative path, or two files; also list what else the folders hold that may
    show a face: `source`, `what` it is and the `remedy`. Raises `InputMissing`."""
    for path in (originals, anonymized):
        if not path.exists():
            raise InputMissing(f"{path} does not exist; check the spelling")
        if path.is_file() and (passed_over(path) or ("",))[0] == CLIP[0]:
            raise InputMissing(f"{path} is a clip; {PHOTOS_ONLY}")
    if originals.is_dir() != anonymized.is_dir():
        raise InputMissing(f"{originals} and {anonymized} must be two folders, or two photos")
    files, left_out = [(anonymized.name, originals, anonymized)], []
    folder = anonymized if anonymized.is_dir() else anonymized.parent
    if originals.is_dir():
        photos: list[dict[str, Path]] = []
        for one, other in ((originals, anonymized), (anonymized, originals)):
            found, others = plan([one], other)
            photos.append({str(path.relative_to(one)): path for path, _ in found if not path.is_dir()})
            left_out += [rest | {"remedy": PHOTOS_ONLY} for rest in others if rest["remedy"]]
        before, after = photos
        if not before and not after:
            raise InputMissing(f"{originals} has no photos; name a folder that has some")
        files = [(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]
    record = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        record = dict(json.loads((folder / "record.json").read_text()))
    kept = tuple((record.get("run") or {}).get("keep_metadata", ()))
    entries = [*record.get("photos", ())]
    done = {one["output_sha256"]: one for one in entries if one.get("output_sha256")}
    failed = {one.get("source_sha256"): one for one in entries if one.get("error")}
    pairs = []
    for name, original, result in files:
        # what the record says of these very bytes; its verdicts are not asked
        entry = (done.get(digest(result)) if result else failed.get(digest(original))) or {}
        left = tuple(tuple(face["box"]) for face in entry.get("faces", ()) if face.get("left"))
        pairs.append(Pair(name, original, result, left, kept, entry.get("error")))
    return pairs, left_out
