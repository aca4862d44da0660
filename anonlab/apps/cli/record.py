"""The record of a run: one line a photo while it runs, `record.json` when it ends.

Each line is on the disk when its photo is, so that a run that was killed can go on. A secret is never in
it: only a salted, slow and short fingerprint, which tells a mistaken key and nothing more.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ...errors import OutputNotWritable
from ...files import atomic_path, write_json

FINGERPRINT_BYTES = 4  # too few to guess a key by, enough to notice that it is another one


class Record:
    """`with Record(path, head, kept) as record:` — `record.add(entry)` for each photo.

    `head` says how the run was made, and `kept` are entries of an earlier one. The end of the block,
    also by an error, makes `path` of them all. None is a record that is not written. Raises
    `OutputNotWritable`, before any work.
    """

    def __init__(self, path: Path | None, head: dict, kept: Mapping[str, dict]):
        self.path, self.head, self.photos = path, head, [*kept.values()]
        self.file = None
        if not path:
            return
        if not kept:
            write_json(path, head | {"photos": []})
        with atomic_path(journal_of(path)) as partial:
            partial.write_text("".join(json.dumps(one) + "\n" for one in (head, *kept.values())))
        self.file = open(journal_of(path), "a")  # noqa: SIM115

    def add(self, entry: dict) -> None:
        """Add a photo. A full disk does not lose it: it is still in the record at the end."""
        self.photos.append(entry)
        try:
            if self.file:
                self.file.write(json.dumps(entry) + "\n")
                self.file.flush()
                os.fsync(self.file.fileno())
        except OSError:
            pass

    def whole(self) -> dict:
        """The record as one object."""
        return self.head | {"photos": self.photos}

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if not self.file:
            return
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


def read_previous(path: Path) -> tuple[dict, dict[str, dict]]:
    """How an earlier run was made, and its photos by the absolute path of their output; of the journal
    of a run that was killed, or else of the record. Both are empty if there is neither."""
    for read in (_read_lines, _read_record):
        try:
            head, photos = read(path)
            done = {os.path.abspath(one["output"]): one for one in photos if one["output"]}
            return head["controls"] | head["run"], done
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
    return {}, {}


def _read_lines(path: Path) -> tuple[dict, list[dict]]:
    lines = journal_of(path).read_text().splitlines()
    found = []
    for line in lines[1:]:
        try:
            found.append(json.loads(line))
        except ValueError:  # torn by whatever ended the run
            continue
    return json.loads(lines[0]), found


def _read_record(path: Path) -> tuple[dict, list[dict]]:
    record = json.loads(path.read_text())
    return record, record["photos"]


def fingerprint(key: bytes | None, salt: str | None = None) -> dict | None:
    """What the record says of a key: a salt, and 4 bytes of scrypt; None for a key that is not kept."""
    if key is None:
        return None
    salt = salt or secrets.token_hex(8)
    slow = hashlib.scrypt(key, salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=FINGERPRINT_BYTES)
    return {"salt": salt, "scrypt": slow.hex()}
