"""Which photos a command is about, where each result goes, and what must not be written over."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ...errors import AnonlabError, OutputNotWritable, UnreadableImage
from ...files import open_file
from ...photo.containers import passed_over
from ...photo.photos import READABLE

T = TypeVar("T")


def plan(sources: list[Path], out: Path) -> tuple[list[tuple[Path, Path]], list[dict[str, str]]]:
    """List (photo, output) for each photo, and everything else that is in the folders: its `source`,
    `what` it is, and a `remedy`.

    A folder's photos keep their places below it. Names that do not exist stay in the list, so that they
    are reported like any other failure, and so do folders that are not gone into: links to folders, and
    those that cannot be listed.
    """
    pairs, left_out = [], []
    for source in sources:
        inside = []
        for path in sorted(_files(source, out.resolve())) if is_folder(source) else ():
            hidden = path.name.startswith(".")
            other = None if path.is_dir() and not hidden else passed_over(path, READABLE)
            if other:
                what, remedy = other
                left_out.append({"source": str(path), "what": what, "remedy": remedy})
            else:
                inside.append((path, out / path.relative_to(source)))
        pairs += inside or [(source, out / source.name)]
    return pairs, left_out


def _files(folder: Path, out: Path) -> Iterable[Path]:
    """Everything below a folder, but for the results of an earlier run and what is in hidden or linked
    folders, which are named themselves."""
    failed: list[str] = []
    for place, below, names in os.walk(folder, onerror=lambda error: failed.append(error.filename)):
        here = Path(place)
        below[:] = [one for one in below if (here / one).resolve() != out]
        named = [one for one in below if one.startswith(".") or (here / one).is_symlink()]  # to anywhere
        below[:] = [one for one in below if one not in named]
        yield from (here / one for one in (*named, *names))
    yield from map(Path, failed)


def is_folder(path: Path) -> bool:
    """Whether it is one; a name that no file can have is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return False


class Targets:
    """Where results may go: never over an original, through a link, or over another result."""

    def __init__(self, pairs: list[tuple[Path, Path]], out: Path):
        self.out = out
        self.taken: set[Path] = set()  # outputs that this run has written
        self.originals = {one for source, _ in pairs if (one := _identity(source))}

    def attempt(self, source: Path, output: Path, work: Callable[[], T]) -> tuple[T | None, str | None]:
        """Do a photo's `work`: its result and None, or None and a sentence. One photo never costs the
        others, whatever is raised."""
        try:
            self.check(source, output)
            result = work()
        except Exception as error:
            return None, sentence(error, source)
        self.taken.add(output)
        return result, None

    def check(self, source: Path, output: Path) -> None:
        """Raise `OutputNotWritable`, or `UnreadableImage` for a folder."""
        if is_folder(source):
            why = "is a folder without photos; name one that has some"
            if source.is_symlink():
                why = "is a link to a folder and not followed; name it on its own"
            elif not os.access(source, os.R_OK | os.X_OK):
                why = "cannot be listed; check its permissions"
            raise UnreadableImage(f"{source} {why}")
        existing = _identity(output)
        if existing and existing == _identity(source):
            raise OutputNotWritable(f"{source} would be overwritten; choose another output folder")
        if existing in self.originals:  # the same file, by whatever name
            raise OutputNotWritable(
                f"{source} would replace the photo {output}; choose another output folder"
            )
        for path in [output, *output.parents[: len(output.relative_to(self.out).parts) - 1]]:
            if os.path.islink(path):
                raise OutputNotWritable(
                    f"{path} is a link, and results are not written through one; remove it, or choose "
                    f"another output folder"
                )
        if output in self.taken:
            raise OutputNotWritable(
                f"{source} has the same name as a photo before it; anonymize it into another folder"
            )


def sentence(error: Exception, source: Path | str) -> str:
    """Say what happened to one photo, whatever was raised."""
    if isinstance(error, AnonlabError):
        return str(error)
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"{source} could not be processed ({reason}); try a smaller copy"


def digest(path: Path) -> str | None:
    """The SHA-256 of a file's content; None where there is no file."""
    with contextlib.suppress(AnonlabError), open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, the same for all its names; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
