"""Writing files: at once or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from .errors import OutputNotWritable


class atomic_path:
    """`with atomic_path(path) as partial:` — `partial` becomes `path` only if the block succeeds.

    Raises `OutputNotWritable` when the folder cannot be made or written.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                prefix=f".{self.path.stem}.", suffix=".partial", dir=self.path.parent
            )
            os.close(handle)
        except OSError as error:
            raise OutputNotWritable(
                f"{self.path} cannot be written ({error.strerror}); choose another output folder"
            ) from None
        self.partial = Path(name)
        return self.partial

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            self.partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise OutputNotWritable(
                    f"{self.path} cannot be written ({error}); choose another output folder"
                ) from None
            return
        umask = os.umask(0)
        os.umask(umask)
        try:
            self.partial.chmod(0o666 & ~umask)
            os.replace(self.partial, self.path)
        except OSError as failed:
            self.partial.unlink(missing_ok=True)
            raise OutputNotWritable(
                f"{self.path} cannot be written ({failed.strerror}); choose another output folder"
            ) from None


def output_folder(path: Path) -> Path:
    """Make a folder and try to write into it: better now than after the first minutes of work.

    Raises `OutputNotWritable`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(
            f"{path} cannot be a folder ({error.strerror}); choose another output folder"
        ) from None
    with atomic_path(path / ".writable"):
        pass
    (path / ".writable").unlink()
    return path


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, at once or not at all. Raises `OutputNotWritable`."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
