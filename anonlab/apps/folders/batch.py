"""Many photos in, many out, and the record.

While it runs the record is a journal with one line a photo, which is on the disk when its photo is, so
that a run that was killed can go on; `record.json` is made of it at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ...controls import Controls
from ...files import atomic_path, folder_lock, open_file, output_folder, remove_partials, write_json
from ...photo.metadata import check_groups
from ...photo.photos import Photo, read_photo, write_photo
from ...pipeline import Anonymizer, Known
from ...results import Result
from ...selection import Selection
from ..resume import same_settings
from .sources import digest, each, plan

NOTHING = {"output": None, "output_sha256": None, "faces": [], "notes": []}


def anonymize_files(
    anonymizer: Anonymizer,
    sources: list[Path],
    out: Path,
    controls: Controls,
    faces: str | Sequence[int],
    record_path: Path,
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
    With `resume` a photo is not done again if the record at `record_path` has it and it and its result
    are the same bytes; all other options must be the same. `key` None is one that was drawn, and
    `made_by` names the parts of the `anonymizer`.
    Raises `OutputNotWritable` when the output folder cannot be used at all, `FolderBusy` when another
    run uses it, `InputDamaged` when a record to go on with has other options, and `UnknownOption`.
    """
    check_groups(keep_metadata)
    output_folder(out)
    names = {"leave": [str(path) for path in leave], "only": [str(path) for path in only]}
    selection = Selection(
        faces,
        leave=anonymizer.recognise(leave) if leave else None,
        only=anonymizer.recognise(only) if only else None,
        names=names["leave"],
    )
    head: dict = {
        "controls": asdict(controls) | {"faces": faces, "fallback": fallback} | names,
        "run": {**made_by, "keep_metadata": list(keep_metadata)},
    }

    def work(source: Path, output: Path) -> dict:
        """Anonymize a photo, unless an earlier run has done it; returns its entry of the record."""
        with open_file(source) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            done = kept.get(str(output.absolute()))
            if done and (done["source_sha256"], done["output_sha256"]) == (sha256, digest(output)):
                return done | {"source": str(source)}
            file.seek(0)
            photo = read_photo(file)
        entry = {"source": str(source), "error": None, "source_sha256": sha256}
        return entry | anonymize_photo(
            anonymizer, photo, output, controls, keep_metadata,
            faces=selection, fallback=fallback, known=known,
        )  # fmt: skip

    with folder_lock(out):
        pairs, left_out = plan(sources, out)
        if left_out:
            head["left_out"] = left_out
        remove_partials({output.parent for _, output in pairs} | {out, record_path.parent})
        here = {str(output.absolute()) for _, output in pairs}
        with recording(record_path, head, key, resume) as (record, add):
            kept = {os.path.abspath(one["output"]): one for one in record["photos"] if one["output"]}
            record["photos"][:] = [entry for output, entry in kept.items() if output not in here]
            for source, _, entry, error in each(pairs, out, work, anonymizer.device):
                failed = {"source": str(source), "error": error}
                add(entry or failed | {"source_sha256": digest(source)} | NOTHING)
    return record


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


@contextlib.contextmanager
def recording(
    path: Path, head: dict, key: bytes | None, resume: bool
) -> Iterator[tuple[dict, Callable[[dict], None]]]:
    """Give the record of a run, and what adds a photo's entry to it.

    `head` says how the run is made: `controls` and `run`, to which the fingerprint of `key` is added.
    With `resume` the photos of an earlier run with the same ones are in it. The end of the block, also
    by an error, makes `path` of the journal. Raises `OutputNotWritable`, before any work, and
    `InputDamaged` for another run's record.
    """
    before, photos = read_previous(path) if resume else ({}, [])
    same = same_settings(before, head["controls"] | head["run"], key, path)
    record = json.loads(json.dumps(head | {"run": head["run"] | {"key": same["key"]}}))
    write_json(path, record | {"photos": photos})
    with atomic_path(journal_of(path)) as partial:
        partial.write_text("".join(json.dumps(one) + "\n" for one in (record, *photos)))
    record["photos"] = photos
    with open(journal_of(path), "ab", buffering=0) as file:

        def add(entry: dict) -> None:
            photos.append(entry)
            with contextlib.suppress(OSError):  # a full disk: the entry is in the record at the end
                file.write(json.dumps(entry).encode() + b"\n")
                os.fsync(file.fileno())

        try:
            yield record, add
        finally:
            write_json(path, record)
            journal_of(path).unlink(missing_ok=True)


def journal_of(record: Path) -> Path:
    """Name the file where the lines are until the record is written."""
    return record.with_name(f"{record.stem}.journal")


def read_previous(path: Path) -> tuple[dict, list[dict]]:
    """Read settings of an earlier run, and its photos: of the journal of a run that was killed, or else
    of the record. Both are empty if there is neither, or no photo yet."""
    for file in (journal_of(path), path):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            head, *lines = file.read_text().splitlines() if file != path else [file.read_text()]
            head = json.loads(head)
            photos = head.get("photos", [])
            for line in lines:
                with contextlib.suppress(ValueError):  # torn by whatever ended the run
                    photos.append(json.loads(line))
            return (head["controls"] | head["run"], photos) if photos else ({}, [])
    return {}, []
