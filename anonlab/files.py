"""Writing files: at once or not at all, whatever happens in between; reading only what is a file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
from filelock import FileLock, Timeout

from .errors import FolderBusy, InputMissing, OutputNotWritable

# What a file system answers that has no permissions, no locks or no syncing: USB sticks, network shares
UNSUPPORTED = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
LOCK = ".anonlab.lock"
PARTIAL = re.compile(r"\.anonlab-(\d{1,9})-.*\.partial")  # the number of the process that writes it


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a file to write that becomes `path` only if the block succeeds.

    The content is on the disk before the name is. A link of that name is replaced, never written
    through. Raises `OutputNotWritable` when the folder cannot be made or written.
    """
    path = Path(path)
    # not the file's own name, which may be as long as a name can be
    partial = path.parent / f".anonlab-{os.getpid()}-{secrets.token_hex(8)}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.open("xb").close()
        rights = partial.stat().st_mode
        yield partial
        with contextlib.suppress(PermissionError, NotImplementedError):  # not every system has rights
            partial.chmod(rights)  # safetensors puts a file in its place that only its owner reads
        _to_disk(partial)
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise _not_writable(path, error) from None
        raise
    with contextlib.suppress(OSError):  # not every system can do this with a folder
        _to_disk(path.parent)


def _not_writable(path: Path, error: OSError) -> OutputNotWritable:
    remedy = "shorten it" if error.errno == errno.ENAMETOOLONG else "choose another output folder"
    return OutputNotWritable(f"{path} cannot be written ({error.strerror or error}); {remedy}")


def _to_disk(path: Path) -> None:
    """Wait until a file's or folder's content is on the disk, where its file system can say so."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:  # a full or broken disk
            raise
    finally:
        os.close(handle)


def remove_partials(folders: Iterable[Path]) -> int:
    """Remove what processes that no longer run left half-written in `folders`; returns how many."""
    removed = 0
    for folder in set(folders):
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                made_by = PARTIAL.fullmatch(path.name)
                if made_by and not psutil.pid_exists(int(made_by[1])):
                    path.unlink(missing_ok=True)
                    removed += 1
    return removed


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing results into a folder meanwhile.

    The system drops the lock with the process, so a process that was killed holds up nothing. On a file
    system without locks there is none. Raises `FolderBusy`, or `OutputNotWritable`.
    """
    path = folder.resolve() / LOCK
    lock = FileLock(path, timeout=0)
    try:
        if path.is_symlink():  # what it leads to is no lock of ours
            raise OSError(errno.ELOOP, "it is a link")
        lock.acquire()
    except Timeout:
        raise FolderBusy(
            f"{path.parent} is being written by another run; wait for it, or choose another output "
            f"folder"
        ) from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise _not_writable(path, error) from None
    try:
        yield
    finally:
        if os.name == "nt":  # Windows removes no open file
            lock.release()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def open_file(path: Path) -> BinaryIO:
    """Open an ordinary file for reading; links are followed.

    A FIFO or device is not even opened, because that may wait forever or do something. Raises
    `InputMissing` with the reason.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise InputMissing(f"{path} is a folder; name a photo in it")
        if not stat.S_ISREG(mode):
            raise InputMissing(f"{path} is a FIFO, a socket or a device; name a photo")
        return open(path, "rb")
    except FileNotFoundError:
        raise InputMissing(f"{path} does not exist; check the spelling") from None
    except PermissionError:
        raise InputMissing(f"{path} cannot be opened; check its permissions") from None
    except (OSError, ValueError) as error:  # a name that is too long, a circle of links, a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputMissing(f"{path} cannot be opened ({reason}); rename or copy it") from None


def printable(text: str) -> str:
    """Escape what a terminal would obey in text with a file's name in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def output_folder(path: Path) -> Path:
    """Make a folder and try to write into it: better now than after the first minutes of work.

    Raises `OutputNotWritable`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from None
    with atomic_path(path / ".writable"):
        pass
    (path / ".writable").unlink()
    return path


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, at once or not at all. Raises `OutputNotWritable`."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
