"""Which anonymized photo belongs to which original, and what its record says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputMissing
from ...files import open_file
from ...photo.containers import CLIP, passed_over
from ...photo.photos import READABLE

RECORD = "record.json"
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


def pair_photos(originals: Path, anonymized: Path) -> list[Pair]:
    """Pairs by relative path, of two folders or two files. Raises `InputMissing`."""
    for path in (originals, anonymized):
        if not path.exists():
            raise InputMissing(f"{path} does not exist; check the spelling")
    if originals.is_dir() != anonymized.is_dir():
        raise InputMissing(f"{originals} and {anonymized} must be two folders, or two photos")
    record = _record_beside(anonymized)
    if not originals.is_dir():
        for path in (originals, anonymized):
            if (passed_over(path, READABLE) or ("",))[0] == CLIP[0]:
                raise InputMissing(f"{path} is a clip; {PHOTOS_ONLY}")
        return [_pair(anonymized.name, originals, anonymized, record)]
    before = _photos(originals, without=anonymized)
    after = _photos(anonymized, without=originals)
    pairs = [
        _pair(name, before.get(name), after.get(name), record) for name in sorted({*before, *after})
    ]
    if not pairs:
        raise InputMissing(f"{originals} has no photos; name a folder that has some")
    return pairs


def pairs_of_record(record: Mapping) -> list[Pair]:
    """Pairs as a run has just written them."""
    return [
        _pair(
            one["output"] or one["source"],
            Path(one["source"]),
            Path(one["output"]) if one["output"] else None,
            record,
        )
        for one in record["photos"]
    ]


def not_compared(originals: Path, anonymized: Path) -> list[dict]:
    """List what else two folders hold that may show a face: `source`, `what` it is and the `remedy`."""
    found = []
    for folder, other in ((originals, anonymized), (anonymized, originals)):
        for path in sorted(_files(folder, other)) if folder.is_dir() else ():
            what, remedy = passed_over(path, READABLE) or ("", "")
            if remedy:
                found.append({"source": path, "what": what, "remedy": PHOTOS_ONLY})
    return found


def _photos(folder: Path, without: Path) -> dict[str, Path]:
    """Photos below a folder by relative name."""
    files = _files(folder, without)
    return {str(one.relative_to(folder)): one for one in files if one.suffix.lower() in READABLE}


def _files(folder: Path, without: Path) -> Iterator[Path]:
    """Files below a folder, but for hidden ones and those of the other folder."""
    inner = without.resolve() if folder.resolve() in without.resolve().parents else None
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not (hidden or path.is_dir() or (inner and inner in path.resolve().parents)):
            yield path


def _record_beside(anonymized: Path) -> Mapping:
    folder = anonymized if anonymized.is_dir() else anonymized.parent
    try:
        record = json.loads((folder / RECORD).read_text())
        return record if isinstance(record, dict) else {}
    except (OSError, ValueError):
        return {}


def _pair(name: str, original: Path | None, anonymized: Path | None, record: Mapping) -> Pair:
    """With what the record says of these very bytes. Its verdicts are not asked."""
    kept = tuple((record.get("run") or {}).get("keep_metadata", ()))
    path, field = (anonymized, "output_sha256") if anonymized else (original, "source_sha256")
    digest = _digest(path)
    for one in record.get("photos", ()):
        if digest and one.get(field) == digest:
            left = tuple(tuple(face["box"]) for face in one.get("faces", ()) if face.get("left"))
            return Pair(name, original, anonymized, left, kept, one.get("error"))
    return Pair(name, original, anonymized, kept=kept)


def _digest(path: Path) -> str | None:
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except InputMissing:
        return None
