"""Which anonymized photo belongs to which original, and what its record says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputMissing
from ...photo.containers import CLIP, passed_over
from ...photo.photos import READABLE
from ..folders.sources import digest, plan

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
    before, after = _photos(originals, anonymized), _photos(anonymized, originals)
    names = sorted({*before, *after})
    pairs = [_pair(name, before.get(name), after.get(name), record) for name in names]
    if not pairs:
        raise InputMissing(f"{originals} has no photos; name a folder that has some")
    return pairs


def pairs_of_record(record: Mapping) -> list[Pair]:
    """Pairs as a run has just written them."""
    pairs = []
    for one in record["photos"]:
        source, output = one["source"], one["output"]
        pairs.append(_pair(output or source, Path(source), Path(output) if output else None, record))
    return pairs


def not_compared(originals: Path, anonymized: Path) -> list[dict]:
    """List what else two folders hold that may show a face: `source`, `what` it is and the `remedy`."""
    folders = (originals, anonymized), (anonymized, originals)
    left_out = [one for first, other in folders if first.is_dir() for one in plan([first], other)[1]]
    return [one | {"remedy": PHOTOS_ONLY} for one in left_out if one["remedy"]]


def _photos(folder: Path, other: Path) -> dict[str, Path]:
    """Photos below a folder by relative name, without those of the other folder."""
    found = (path for path, _ in plan([folder], other)[0])
    return {str(path.relative_to(folder)): path for path in found if not path.is_dir()}


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
    found = digest(path)
    for one in record.get("photos", ()):
        if found and one.get(field) == found:
            left = tuple(tuple(face["box"]) for face in one.get("faces", ()) if face.get("left"))
            return Pair(name, original, anonymized, left, kept, one.get("error"))
    return Pair(name, original, anonymized, kept=kept)
