"""The record of a run: a journal with one line a photo while it runs, `record.json` of it at the end.

Each line is on the disk when its photo is, so that a run that was killed can go on. A secret is never in
it, only its fingerprint.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from ...errors import OutputNotWritable
from ...files import atomic_path, write_json
from ..resume import check_same, fingerprint, salt_of


class Record:
    """`with Record(path, head, key, resume) as record:` — `record.add(entry)` for each photo.

    `head` says how the run is made: `controls` and `run`, to which the fingerprint of `key` is added.
    With `resume`, `kept` has the photos of an earlier run with the same ones, by the absolute path of
    their output. The end of the block, also by an error, makes `path` of the journal. Raises
    `OutputNotWritable`, before any work, and `InputDamaged` for another run's record.
    """

    def __init__(self, path: Path, head: dict, key: bytes | None, resume: bool):
        self.path, self.kept, self.photos = path, {}, []
        before, found = read_previous(path) if resume else ({}, [])
        head = head | {"run": head["run"] | {"key": fingerprint(key, salt_of(before))}}
        self.head = json.loads(json.dumps(head))
        if found:
            check_same(before, _settings(self.head), path)
            self.kept = {os.path.abspath(one["output"]): one for one in found if one["output"]}
        else:
            write_json(path, self.whole())
        with atomic_path(journal_of(path)) as partial:
            lines = (self.head, *self.kept.values())
            partial.write_text("".join(json.dumps(one) + "\n" for one in lines))
        self.file = open(journal_of(path), "a")  # noqa: SIM115

    def add(self, entry: dict) -> None:
        """Add a photo. A full disk does not lose it: it is still in the record at the end."""
        self.photos.append(entry)
        with contextlib.suppress(OSError):
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())

    def whole(self) -> dict:
        """The record as one object."""
        return self.head | {"photos": self.photos}

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            self.file.close()
        except OSError as full:  # what the disk did not take
            raise OutputNotWritable(
                f"{self.path} cannot be written ({full.strerror}); make room, and use --resume"
            ) from None
        write_json(self.path, self.whole())
        journal_of(self.path).unlink(missing_ok=True)


def journal_of(record: Path) -> Path:
    """Where the lines are until the record is written."""
    return record.with_name(f"{record.stem}.journal")


def read_previous(path: Path) -> tuple[dict, list[dict]]:
    """Settings of an earlier run, and its photos: of the journal of a run that was killed, or else of
    the record. Both are empty if there is neither."""
    for file in (journal_of(path), path):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            text = file.read_text()
            first, *lines = text.splitlines() if file != path else [text]
            head = json.loads(first)
            photos = head.get("photos", [])
            for line in lines:
                with contextlib.suppress(ValueError):  # torn by whatever ended the run
                    photos.append(json.loads(line))
            return _settings(head), photos
    return {}, []


def _settings(head: Mapping) -> dict:
    return head["controls"] | head["run"]
