"""Many photos in, many out: what the command line does, as a function."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from ...controls import Controls
from ...errors import AnonlabError, InputMissing, UnreadableImage
from ...files import folder_lock, open_file, output_folder, remove_partials
from ...photo.metadata import check_groups
from ...photo.photos import read_photo, write_photo
from ...pipeline import Anonymizer, Known
from ...selection import Selection
from .options import sentence
from .record import Record, fingerprint, read_previous
from .sources import Targets, plan

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
    tell: Callable[[str], None] = lambda _: None,
) -> dict:
    """Anonymize photos and folders into `out`, and write the record, which is returned.

    A photo that fails is named in the record with its error and the others are still done; so is what
    else is in a folder. Nothing but anonymized pictures is ever written. `faces`, `fallback` and `known`
    are those of the `Anonymizer`; `leave` and `only` are photos of people, the largest face of each.
    With `resume` a photo is not done again if the record has it, it and its result are the same bytes,
    and so are all other options; `key` None is one that was drawn, and `made_by` names the parts of the
    `anonymizer`. `tell` hears why nothing of an earlier run is of use.
    Raises `OutputNotWritable` when the output folder cannot be used at all, `FolderBusy` when another
    run uses it, and `UnknownOption`.
    """
    check_groups(keep_metadata)
    output_folder(out)
    selection = Selection(
        faces,
        leave=anonymizer.recognise(leave) if leave else None,
        only=anonymizer.recognise(only) if only else None,
        names=[str(path) for path in leave],
    )
    people = {"leave": [str(path) for path in leave], "only": [str(path) for path in only]}
    with folder_lock(out):
        pairs, left_out = plan(sources, out)
        made, before = read_previous(record_path) if resume and record_path else ({}, {})
        salt = (made.get("key") or {}).get("salt")
        head = {
            "controls": asdict(controls) | {"faces": faces, "fallback": fallback} | people,
            "run": {**made_by, "keep_metadata": list(keep_metadata), "key": fingerprint(key, salt)},
        }
        if left_out:
            head["left_out"] = [one._asdict() | {"source": str(one.source)} for one in left_out]
        head = json.loads(json.dumps(head))
        usable = _usable(made, before, head, tell) if resume else {}
        if record_path:
            remove_partials({output.parent for _, output in pairs} | {out, record_path.parent})
        targets = Targets(pairs, out)

        def one_photo(source: Path, output: Path) -> dict:
            """Anonymize a photo, unless an earlier run has done it; returns its entry of the record."""
            entry = {"source": str(source), "error": None, "source_sha256": None} | NOTHING
            try:
                targets.check(source, output)
                with _opened(source) as file:
                    entry["source_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
                    done = usable.get(str(output.absolute()), {})
                    if _is_done(done, entry["source_sha256"], output):
                        return done | {"source": str(source)}
                    file.seek(0)
                    photo = read_photo(file)
                result = anonymizer(
                    photo, controls, faces=selection, fallback=fallback, known=known, progress=progress
                )
                notes = write_photo(result.image, output, photo.icc_profile, photo, keep_metadata)
                found = {"output": str(output), "notes": notes, "faces": result.records()}
                return entry | found | {"output_sha256": _sha256(output)}
            except Exception as error:  # whatever it is, the other photos are still done
                return entry | NOTHING | {"error": sentence(error, source)}

        here = {str(output.absolute()) for _, output in pairs}
        elsewhere = {output: entry for output, entry in usable.items() if output not in here}
        with Record(record_path, head, usable) as record:
            record.photos = [*elsewhere.values()]
            for source, output in tqdm(pairs, unit="photo", disable=not progress, smoothing=0.1):
                record.add(one_photo(source, output))
                if record.photos[-1]["output"]:
                    targets.taken.add(output)
    return record.whole()


def _usable(made: dict, photos: dict, head: dict, tell: Callable[[str], None]) -> dict:
    """The photos of an earlier run, if it had the same settings."""
    now = head["controls"] | head["run"]
    differing = ", ".join(name for name in now if made.get(name) != now[name])
    if not photos:
        tell("nothing to resume: there is no record of finished photos")
    elif differing:
        tell(
            f"nothing to resume: the finished photos were made with another {differing}; all are done "
            f"again"
        )
    return {} if differing else photos


def _is_done(entry: dict, source_sha256: str, output: Path) -> bool:
    """Whether both the photo and its result are the bytes of an earlier run."""
    try:
        same = entry.get("source_sha256") == source_sha256
        return same and entry.get("output_sha256") == _sha256(output)
    except AnonlabError:
        return False


def _sha256(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(source: Path):
    try:
        return open_file(source)
    except InputMissing as error:
        raise UnreadableImage(str(error)) from None
