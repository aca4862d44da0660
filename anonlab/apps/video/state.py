"""Unfinished work of a clip: a hidden folder beside the result, which is removed at the end.

It holds numbers (where faces are, who the recogniser sees, what is to be done) and finished segments,
which show anonymized faces only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ...controls import Controls
from ...errors import InputDamaged, OutputNotWritable
from ...files import LOCK, atomic_path, folder_lock, to_disk, write_json

FORMAT = 1  # of the folder; another one cannot be gone on with
BLOCK = 1 << 20


class State:
    """The folder of one clip. Use it as a context: it is locked meanwhile, and what is left of it when
    the work is not finished can be gone on with.

    Raises `OutputNotWritable`, also when another run has it, and `InputDamaged` when `resume` is asked
    for and the folder belongs to other work.
    """

    def __init__(self, out: Path, about: dict, resume: bool):
        self.folder = out.parent / f".{out.name}.unfinished"
        self.out, self.about, self.resume = out, about, resume

    def __enter__(self) -> State:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputNotWritable(
                f"{self.out} cannot be written ({error.strerror}); choose another place"
            ) from None
        self.lock = folder_lock(self.folder)
        self.lock.__enter__()
        before = self.folder / "about.json"
        if self.resume and before.is_file():
            if json.loads(before.read_text()) != self.about:
                self.lock.__exit__(None, None, None)
                raise InputDamaged(
                    f"{self.folder} holds unfinished work of another clip or with other options; run "
                    f"without --resume to begin again"
                )
        else:
            for path in self.folder.iterdir():
                if path.name != LOCK:
                    path.unlink()
            write_json(before, self.about)
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.lock.__exit__(kind, error, trace)

    def remove(self) -> None:
        """All of it, when the work is finished or cannot be."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, name: str) -> bool:
        """Whether an earlier run has kept something of that name."""
        return (self.folder / f"{name}.npz").is_file()

    def keep(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
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
            raise OutputNotWritable(
                f"{self.out} cannot be written ({error}); choose another place"
            ) from None


def describe(clip: Path, controls: Controls, key: bytes | None, **options: object) -> dict:
    """What work is the same work: the clip's content, all options, and a fingerprint of the key."""
    digest = hashlib.sha256()
    with clip.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    mark = hmac.new(key, digest.digest(), "sha256").hexdigest() if key else None
    about = {"format": FORMAT, "clip": digest.hexdigest(), "key": mark, "controls": asdict(controls)}
    return json.loads(json.dumps(about | options))
