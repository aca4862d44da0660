"""Writing files: at once or not at all, whatever happens in between; reading only what is a file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from .errors import FolderBusy, InputMissing, OutputNotWritable

try:
    import fcntl
except ImportError:  # Windows: the process id in the file has to do
    fcntl = None

LOCK = ".anonlab.lock"
PARTIAL = re.compile(r"\.anonlab-(\d+)-.*\.partial")  # the number of the process that writes it
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class atomic_path:
    """`with atomic_path(path) as partial:` — `partial` becomes `path` only if the block succeeds.

    The content is on the disk before the name is. A link of that name is replaced, never written
    through. Raises `OutputNotWritable` when the folder cannot be made or written.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # not the file's own name, which may be as long as a name can be
            handle, name = tempfile.mkstemp(
                prefix=f".anonlab-{os.getpid()}-", suffix=".partial", dir=self.path.parent
            )
            os.close(handle)
        except OSError as error:
            raise _not_writable(self.path, error) from None
        self.partial = Path(name)
        return self.partial

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            self.partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _not_writable(self.path, error) from None
            return
        umask = os.umask(0)
        os.umask(umask)
        try:
            self.partial.chmod(0o666 & ~umask)
            _to_disk(self.partial)
            os.replace(self.partial, self.path)
        except OSError as failed:
            self.partial.unlink(missing_ok=True)
            raise _not_writable(self.path, failed) from None
        with contextlib.suppress(OSError):  # not every system can do this with a folder
            _to_disk(self.path.parent)


def _not_writable(path: Path, error: OSError) -> OutputNotWritable:
    remedy = "shorten it" if error.errno == errno.ENAMETOOLONG else "choose another output folder"
    return OutputNotWritable(f"{path} cannot be written ({error.strerror or error}); {remedy}")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partials(folders: Iterable[Path]) -> int:
    """Remove what processes that no longer run left half-written in `folders`; returns how many."""
    removed = 0
    for folder in set(folders):
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                made_by = PARTIAL.fullmatch(path.name)
                if made_by and not _runs(int(made_by[1])):
                    path.unlink(missing_ok=True)
                    removed += 1
    return removed


def _runs(process: int) -> bool:
    if os.name == "nt":  # where this question would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except OSError:  # it runs, and belongs to somebody else
        return True
    return True


class folder_lock:
    """`with folder_lock(folder):` — nobody else writes results into the folder meanwhile.

    The file holds the number of the process. The system drops the lock with the process, so one that
    was killed holds nobody up. Raises `FolderBusy`, or `OutputNotWritable`.
    """

    def __init__(self, folder: Path):
        self.path = folder.resolve() / LOCK
        self.handle: int | None = None

    def __enter__(self) -> folder_lock:
        while self.handle is None:
            try:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                handle = os.open(self.path, flags, 0o666)
            except OSError as error:
                raise _not_writable(self.path, error) from None
            try:
                holder = _lock(handle)
                current = os.stat(self.path).st_ino == os.fstat(handle).st_ino
            except FileNotFoundError:  # its holder removed it while we waited
                holder, current = None, False
            if holder is not None:
                os.close(handle)
                raise FolderBusy(
                    f"{self.path.parent} is being written by another run (process {holder}); wait for "
                    f"it, or choose another output folder"
                )
            if current:
                self.handle = handle
            else:
                os.close(handle)
        try:
            os.ftruncate(self.handle, 0)
            os.write(self.handle, f"{os.getpid()}\n".encode())
        except OSError as error:  # a full disk
            self.__exit__(None, None, None)
            raise _not_writable(self.path, error) from None
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.handle)
        self.handle = None


def _lock(handle: int) -> str | None:
    """Take the lock of an open file; or who has it."""
    holder = os.read(handle, 32).decode(errors="replace").strip()
    if fcntl:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return holder or "unknown"
        except OSError:  # a file system without locks
            pass
    other = holder.isdigit() and int(holder) != os.getpid()
    return holder if other and _runs(int(holder)) else None


def open_file(path: Path) -> BinaryIO:
    """Open an ordinary file for reading; links are followed.

    A FIFO or device is not even opened, because that may wait forever or do something. Raises
    `InputMissing` with the reason.
    """
    try:
        _check_kind(path, os.stat(path).st_mode)
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
        try:
            _check_kind(path, os.fstat(file.fileno()).st_mode)
        except InputMissing:
            file.close()
            raise
        return file
    except FileNotFoundError:
        raise InputMissing(f"{path} does not exist; check the spelling") from None
    except PermissionError:
        raise InputMissing(f"{path} cannot be opened; check its permissions") from None
    except (OSError, ValueError) as error:  # a name that is too long, a circle of links, a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputMissing(f"{path} cannot be opened ({reason}); rename or copy it") from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_kind(path: Path, mode: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        where = " in it" if kind == stat.S_IFDIR else ""
        raise InputMissing(f"{path} is {KINDS.get(kind, 'no file')}; name a photo{where}")


def printable(text: str) -> str:
    """Text with a file's name in it, safe for a terminal: a name may hold anything but a zero byte."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


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
