"""Many photos in, many out: what the command line does, as a function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from ...controls import Controls
from ...files import folder_lock, open_file, output_folder, remove_partials
from ...photo.metadata import check_groups
from ...photo.photos import Photo, read_photo, write_photo
from ...pipeline import Anonymizer, Known
from ...results import Result
from ...selection import Selection
from .record import Record
from .sources import Targets, digest, plan

NOTHING = {"output": None, "output_sha256": None, "faces": [], "notes": []}


def anonymize_files(
    anonymizer: Anonymizer,
    sources: list[Path],
    out: Path,
    controls: Controls,
    faces: str | Sequence[int] = "all",
    record_path: Path | None = None,
    progress: bool = False,
    *,
    fallback: str = "none",
    leave: Sequence[Path] = (),
    only: Sequence[Path] = (),
    known: Known | None = None,
    resume: bool = False,
    keep_metadata: Sequence[str] = (),
    key: bytes | None = None,
    made_by: Mapping[str, object] = {},
) -> dict:
    """Anonymize photos and folders into `out`, and write the record, which is returned.

    A photo that fails is named in the record with its error and the others are still done; so is what
    else is in a folder. Nothing but anonymized pictures is ever written. `faces`, `fallback` and `known`
    are those of the `Anonymizer`; `leave` and `only` are photos of people, the largest face of each.
    With `resume` a photo is not done again if the record (`record_path`, by default
    `out/record.json`) has it and it and its result are the same bytes; all other options must be the
    same. `key` None is one that was drawn, and `made_by` names the parts of the `anonymizer`.
    Raises `OutputNotWritable` when the output folder cannot be used at all, `FolderBusy` when another
    run uses it, `InputDamaged` when a record to go on with has other options, and `UnknownOption`.
    """
    check_groups(keep_metadata)
    output_folder(out)
    record_path = record_path or out / "record.json"
    selection = Selection(
        faces,
        leave=anonymizer.recognise(leave) if leave else None,
        only=anonymizer.recognise(only) if only else None,
        names=[str(path) for path in leave],
    )
    choice = {"faces": selection, "fallback": fallback, "known": known}
    people = {"leave": [str(path) for path in leave], "only": [str(path) for path in only]}
    head = {
        "controls": asdict(controls) | {"faces": faces, "fallback": fallback} | people,
        "run": {**made_by, "keep_metadata": list(keep_metadata)},
    }

    def anonymized(source: Path, output: Path, entry: dict) -> dict:
        """Anonymize a photo, unless an earlier run has done it; returns its entry of the record."""
        with open_file(source) as file:
            entry["source_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            done = record.kept.get(str(output.absolute()))
            same = done and done["source_sha256"] == entry["source_sha256"]
            if same and done["output_sha256"] == digest(output):
                return done | {"source": str(source)}
            file.seek(0)
            photo = read_photo(file)
        return entry | anonymize_photo(anonymizer, photo, output, controls, keep_metadata, **choice)

    with folder_lock(out):
        pairs, left_out = plan(sources, out)
        if left_out:
            head["left_out"] = left_out
        remove_partials({output.parent for _, output in pairs} | {out, record_path.parent})
        targets, here = Targets(pairs, out), {str(output.absolute()) for _, output in pairs}
        with Record(record_path, head, key, resume) as record:
            record.photos = [entry for output, entry in record.kept.items() if output not in here]
            for source, output in tqdm(pairs, unit="photo", disable=not progress, smoothing=0.1):
                entry = {"source": str(source), "error": None, "source_sha256": None} | NOTHING
                done, error = targets.attempt(source, output, partial(anonymized, source, output, entry))
                record.add(done or entry | {"error": error})
    return record.whole()


def anonymize_photo(
    anonymizer: Callable[..., Result],
    photo: Photo,
    output: Path,
    controls: Controls,
    keep_metadata: Sequence[str],
    **choice: object,
) -> dict:
    """Anonymize one photo into a file; returns what the record says of it. `choice` is for the
    `Anonymizer`."""
    result = anonymizer(photo, controls, **choice)
    notes = write_photo(result.image, output, photo.icc_profile, photo, keep_metadata)
    found = {"output": str(output), "notes": notes, "faces": result.records()}
    return found | {"output_sha256": digest(output)}
