"""Unfinished work of a clip: a hidden folder beside the result, which is removed at the end.

It holds numbers (places of faces, embeddings, what is to be done) and finished segments,
which show anonymized faces only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...errors import InputDamaged, OutputNotWritable
from ...files import LOCK, atomic_path, folder_lock, to_disk
from ..resume import keep_settings

Arrays = Mapping[str, np.ndarray]


class State:
    """The folder of one clip, locked while it is used as a context; `keep` puts arrays into it by name,
    and with `resume` those of an earlier run with the same `settings` and `key` are there.

    Raises `OutputNotWritable`, also when another run has it, and `InputDamaged` when `resume` is asked
    for and the folder belongs to other work.
    """

    def __init__(self, out: Path, settings: dict, key: bytes | None, resume: bool):
        self.folder = out.parent / f".{out.name}.unfinished"
        self.out, self.settings, self.key, self.resume = out, settings, key, resume

    def __enter__(self) -> State:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_writable(error) from None
        self.lock = folder_lock(self.folder)
        self.lock.__enter__()
        try:
            path = self.folder / "settings.json"
            if not keep_settings(path, self.settings, self.key, self.resume):
                for other in self.folder.iterdir():
                    if other.name not in (LOCK, path.name):
                        other.unlink()
        except BaseException:
            self.lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.lock.__exit__(kind, error, trace)

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

    def kept(self, name: str) -> dict[str, np.ndarray]:
        """What was kept. Raises `InputDamaged`."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputDamaged(
                f"{path} is damaged ({error}); run without --resume to begin again"
            ) from None

    def publish(self, write: Callable[[Path], None]) -> None:
        """Let `write` make the result in a file of the same ending, and move it to its place when all of
        it is on the disk. Raises `OutputNotWritable`."""
        whole = self.folder / f"result{self.out.suffix}"
        try:
            write(whole)
            to_disk(whole)
            os.replace(whole, self.out)
        except OSError as error:
            raise self._not_writable(error) from None

    def _not_writable(self, error: OSError) -> OutputNotWritable:
        return OutputNotWritable(f"{self.out} cannot be written ({error}); choose another place")
