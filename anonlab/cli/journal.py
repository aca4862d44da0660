"""The record of a run: one line a photo while it runs, `record.json` when it ends.

Lines are appended, so that 10,000 photos cost 10,000 lines and not 10,000 records; and each is on the
disk when its photo is, so that a run that was killed can go on. A secret is never in either: only a
salted, slow and short fingerprint, which tells a mistaken key and nothing more.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import OutputNotWritable
from ..files import atomic_path, write_json

FINGERPRINT_BYTES = 4  # too few to guess a key by, enough to notice that it is another one


@dataclass
class Previous:
    """What an earlier run left: its settings, and its photos by the absolute path of their output."""

    controls: dict = field(default_factory=dict)
    run: dict = field(default_factory=dict)
    photos: dict[str, dict] = field(default_factory=dict)


class Journal:
    """Entries of one run, at `path` with the ending `.journal`, and the record that they become."""

    def __init__(self, path: Path, controls: dict, run: dict, kept: Mapping[str, dict] = {}):
        """`kept` are entries of an earlier run. Raises `OutputNotWritable`, before any work."""
        self.path, self.lines = path, journal_of(path)
        self.head = {"controls": controls, "run": run}
        if not kept:
            write_json(path, self.head | {"photos": []})
        with atomic_path(self.lines) as partial:
            lines = [self.head, *kept.values()]
            partial.write_text("".join(json.dumps(one) + "\n" for one in lines))
        self.file = open(self.lines, "a")  # noqa: SIM115

    def append(self, entry: dict) -> None:
        """Add a photo. A full disk does not lose it: it is still in the record at the end."""
        try:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError:
            pass

    def finish(self, photos: list[dict]) -> dict:
        """Write the record and remove the journal. Raises `OutputNotWritable`; the journal stays."""
        try:
            self.file.close()
        except OSError as error:  # what a full disk did not take
            raise OutputNotWritable(
                f"{self.path} cannot be written ({error.strerror}); make room, and use --resume"
            ) from None
        record = self.head | {"photos": photos}
        write_json(self.path, record)
        self.lines.unlink(missing_ok=True)
        return record


def journal_of(record: Path) -> Path:
    """Where the lines are until the record is written."""
    return record.with_name(f"{record.stem}.journal")


def read_previous(path: Path) -> Previous:
    """The journal of a run that was killed, or else the record at `path`; empty if there is neither.

    A last line that was not finished is left out.
    """
    for read in (_read_lines, _read_record):
        try:
            head, photos = read(path)
            done = {os.path.abspath(one["output"]): one for one in photos if one["output"]}
            return Previous(dict(head["controls"]), dict(head["run"]), done)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
    return Previous()


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
