"""Going on with work that was stopped: settings and key must be those of before, by name.

What is finished of a clip is kept in a hidden folder beside the result, which is removed at the end. It
holds numbers (places of faces, embeddings, what is to be done) and finished segments, which show
anonymized faces only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputDamaged, OutputNotWritable
from ..files import LOCK, atomic_path, folder_lock, write_json

SETTINGS = "settings.json"  # in the folder of the work
FINGERPRINT_BYTES = 4  # too few to guess a key by, enough to notice that it is another one


def same_settings(before: Mapping, settings: Mapping, key: bytes | None, where: Path) -> dict:
    """Return `settings` as a JSON file has them, with a fingerprint of the key: a salt and 4 bytes of
    scrypt. Raises `InputDamaged` if the work in `where` was begun with others; `before` may be empty."""
    salt, mark = (before.get("key") or {}).get("salt") or secrets.token_hex(8), None
    if key is not None:
        slow = hashlib.scrypt(key, salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=FINGERPRINT_BYTES)
        mark = {"salt": salt, "scrypt": slow.hex()}
    now = json.loads(json.dumps({**settings, "key": mark}))  # lists for tuples
    differing = ", ".join(name for name in now if before and before.get(name) != now[name])
    if differing:
        raise InputDamaged(
            f"{where} was begun with another {differing}; use the same, or choose another output"
        )
    return now


def keep_settings(folder: Path, settings: Mapping, key: bytes | None, resume: bool) -> bool:
    """Write settings and a key's fingerprint to a JSON file in `folder`; with `resume` those of an
    earlier run must be the same. Returns whether there is something to go on with. Raises
    `InputDamaged`."""
    path, before = folder / SETTINGS, {}
    if resume and path.is_file():
        try:
            before = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise InputDamaged(f"{path} is damaged; choose another output") from None
    now = same_settings(before, settings, key, folder)
    if not before:
        write_json(path, now)
    return bool(before)


class State(NamedTuple):
    """Arrays that are kept in a folder by name."""

    folder: Path

    def remove(self) -> None:
        """Remove all of it, when the work is finished or cannot be."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, name: str) -> bool:
        """Tell whether something of that name is kept."""
        return (self.folder / f"{name}.npz").is_file()

    def keep(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays to a file, at once or not at all. Raises `OutputNotWritable`."""
        with atomic_path(self.folder / f"{name}.npz") as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    def kept(self, name: str) -> dict[str, Any]:
        """Read what was kept; what was a number is one. Raises `InputDamaged`."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: one if one.ndim else one.item() for name, one in file.items()}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputDamaged(
                f"{path} is damaged ({error}); run without --resume to begin again"
            ) from None


@contextlib.contextmanager
def unfinished(out: Path, settings: Mapping, key: bytes | None, resume: bool) -> Iterator[State]:
    """Lock the hidden folder of the result `out`; with `resume` what an earlier run with the same
    `settings` and `key` has kept is there. Raises `OutputNotWritable`, also when another run has it, and
    `InputDamaged` when `resume` is asked for and the folder belongs to other work."""
    folder = out.parent / f".{out.name}.unfinished"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputNotWritable(f"{out} cannot be written ({reason}); choose another place") from None
    with folder_lock(folder):
        if not keep_settings(folder, settings, key, resume):
            for other in folder.iterdir():
                if other.name not in (LOCK, SETTINGS):
                    other.unlink()
        yield State(folder)
