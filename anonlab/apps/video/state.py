"""Unfinished work of a clip: a hidden folder beside the result, which is removed at the end.

It holds numbers (places of faces, embeddings, what is to be done) and finished segments,
which show anonymized faces only.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputDamaged, OutputNotWritable
from ...files import LOCK, atomic_path, folder_lock
from ..resume import keep_settings

Arrays = Mapping[str, np.ndarray]


@contextlib.contextmanager
def unfinished(out: Path, settings: dict, key: bytes | None, resume: bool) -> Iterator[State]:
    """Lock the folder of the clip `out`; with `resume` what an earlier run with the same `settings` and
    `key` has kept is there.

    Raises `OutputNotWritable`, also when another run has it, and `InputDamaged` when `resume` is asked
    for and the folder belongs to other work.
    """
    folder = out.parent / f".{out.name}.unfinished"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputNotWritable(f"{out} cannot be written ({reason}); choose another place") from None
    with folder_lock(folder):
        path = folder / "settings.json"
        if not keep_settings(path, settings, key, resume):
            for other in folder.iterdir():
                if other.name not in (LOCK, path.name):
                    other.unlink()
        yield State(folder)


class State(NamedTuple):
    """What is kept in the folder of a clip: arrays by name."""

    folder: Path

    def remove(self) -> None:
        """All of it, when the work is finished or cannot be."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, name: str) -> bool:
        """Whether something of that name is kept."""
        return (self.folder / f"{name}.npz").is_file()

    def keep(self, name: str, arrays: Arrays) -> None:
        """Arrays in a file, at once or not at all. Raises `OutputNotWritable`."""
        with atomic_path(self.folder / f"{name}.npz") as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    def kept(self, name: str) -> dict[str, Any]:
        """What was kept; what was a number is one. Raises `InputDamaged`."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: one if one.ndim else one.item() for name, one in file.items()}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputDamaged(
                f"{path} is damaged ({error}); run without --resume to begin again"
            ) from None
