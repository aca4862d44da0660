"""Which anonymized photo belongs to which original, and what its record says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
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
    record, left_out = {}, []
    with contextlib.suppress(OSError, ValueError, TypeError):
        folder = anonymized if anonymized.is_dir() else anonymized.parent
        record = dict(json.loads((folder / "record.json").read_text()))
    if not originals.is_dir():
        return _pairs([(anonymized.name, originals, anonymized)], record), []
    photos: list[dict[str, Path]] = []
    for folder, other in ((originals, anonymized), (anonymized, originals)):
        found, others = plan([folder], other)
        photos.append({str(one.relative_to(folder)): one for one, _ in found if not one.is_dir()})
        left_out += [one | {"remedy": PHOTOS_ONLY} for one in others if one["remedy"]]
    before, after = photos
    if not before and not after:
        raise InputMissing(f"{originals} has no photos; name a folder that has some")
    names = sorted({*before, *after})
    return _pairs([(name, before.get(name), after.get(name)) for name in names], record), left_out


def _pairs(files: Iterable[tuple[str, Path | None, Path | None]], record: Mapping) -> list[Pair]:
    """With what the record says of these very bytes. Its verdicts are not asked."""
    kept = tuple((record.get("run") or {}).get("keep_metadata", ()))
    entries = [*record.get("photos", ())]
    done = {one["output_sha256"]: one for one in entries if one.get("output_sha256")}
    failed = {one.get("source_sha256"): one for one in entries if one.get("error")}
    pairs = []
    for name, original, anonymized in files:
        entry = done.get(digest(anonymized)) if anonymized else failed.get(digest(original))
        faces, error = (entry.get("faces", ()), entry.get("error")) if entry else ([], None)
        left = tuple(tuple(face["box"]) for face in faces if face.get("left"))
        pairs.append(Pair(name, original, anonymized, left, kept, error))
    return pairs
