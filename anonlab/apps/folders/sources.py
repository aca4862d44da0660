"""Which photos a command is about, where each result goes, and what must not be written over."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from ...errors import AnonlabError, OutputNotWritable, UnreadableImage
from ...files import open_file
from ...photo.containers import AVIF_BRANDS, DAMAGED, HEIC_BRANDS, what_else
from ...photo.photos import READABLE
from ...side_by_side import side_by_side

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8")  # first bytes of photos
WAITING = 100  # results that wait for a photo before them, which takes long
T = TypeVar("T")
Pairs = list[tuple[Path, Path]]  # a photo, and where its result goes


def plan(sources: Sequence[Path], out: Path) -> tuple[Pairs, list[dict[str, str]]]:
    """List (photo, output) for each photo, and everything else that is in the folders: its `source`,
    `what` it is, and a `remedy`.

    A folder's photos keep their places below it. What cannot be done stays in the list, to be reported
    like any other failure: names that do not exist, links to folders, folders that cannot be listed.
    """
    pairs, left_out = [], []
    for source in sources:
        inside = []
        for path in sorted(_files(source, out.resolve())) if os.path.isdir(source) else ():
            folder = path.is_dir() and not path.name.startswith(".")
            if not folder and (other := passed_over(path)):
                left_out.append({"source": str(path), "what": other[0], "remedy": other[1]})
            else:
                inside.append((path, out / path.relative_to(source)))
        pairs += inside or [(source, out / source.name)]
    return pairs, left_out


def passed_over(path: Path) -> tuple[str, str] | None:
    """Tell what a file of a folder is that is not done, and what can be done with it; None for one whose
    name says that it is a photo."""
    if path.name.startswith("."):
        return ("hidden", "")
    if path.suffix.lower() in READABLE:
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(12)
    except (OSError, ValueError):
        start = b""
    if start.startswith(SIGNATURES) or start[8:12] in (b"WEBP", *HEIC_BRANDS, *AVIF_BRANDS):
        return ("a photo whose name does not say so", "rename it, for example to .jpg")
    what, remedy = what_else(start, path.name)
    return ("no photo", "") if what == DAMAGED[0] else (what, remedy)


def _files(folder: Path, out: Path) -> Iterable[Path]:
    """List everything below a folder, but for the results of an earlier run and what is in hidden or
    linked folders, which are named themselves."""
    failed: list[str] = []
    for place, below, names in os.walk(folder, onerror=lambda error: failed.append(error.filename)):
        paths = [path for one in below if (path := Path(place, one)).resolve() != out]
        named = [path for path in paths if path.name.startswith(".") or path.is_symlink()]
        below[:] = [path.name for path in paths if path not in named]
        yield from named
        yield from (Path(place, one) for one in names)
    yield from map(Path, failed)


def each(
    pairs: Pairs, out: Path, work: Callable[[Path, Path], T], device: torch.device
) -> Iterator[tuple[Path, Path, T | None, str | None]]:
    """Do `work(photo, output)` for each pair, several `side_by_side`, and yield it with the result, or
    with None and a sentence that says what went wrong. One photo never costs the others, whatever is
    raised.

    No output may be over an original, through a link below `out`, or over another output: pairs with the
    same output come one after the other.
    """
    originals = {one for source, _ in pairs if (one := _identity(source))}
    sources: dict[Path, list[Path]] = {}
    for source, output in pairs:
        sources.setdefault(output, []).append(source)

    def one(output: Path) -> list[tuple[Path, Path, T | None, str | None]]:
        """Work on the photos of one output, of which the first that can be read is written."""
        done, taken = [], False
        for source in sources[output]:
            try:
                _check(source, output, out, originals, taken)
                done.append((source, output, work(source, output), None))
                taken = True
            except Exception as error:
                done.append((source, output, None, sentence(error, source)))
        return done

    alone = contextlib.nullcontext(map)  # one photo has all cores
    with (
        side_by_side(device, WAITING) if len(sources) > 1 else alone as in_order,
        tqdm(total=len(pairs), unit="photo", disable=None, smoothing=0.1) as progress,
    ):
        for done in in_order(one, sources):
            progress.update(len(done))
            yield from done


def _check(source: Path, output: Path, out: Path, originals: set, taken: bool) -> None:
    """Raise `OutputNotWritable`, or `UnreadableImage` for a folder."""
    if os.path.isdir(source):
        why = "is a folder without photos; name one that has some"
        if source.is_symlink():
            why = "is a link to a folder and not followed; name it on its own"
        elif not os.access(source, os.R_OK | os.X_OK):
            why = "cannot be listed; check its permissions"
        raise UnreadableImage(f"{source} {why}")
    another = "choose another output folder"
    if _identity(output) in originals:  # by whatever name
        raise OutputNotWritable(
            f"{source} would replace the photo {output}, which would be overwritten; {another}"
        )
    for path in [output, *output.parents[: len(output.relative_to(out).parts) - 1]]:
        if os.path.islink(path):
            raise OutputNotWritable(
                f"{path} is a link, and results are not written through one; remove it, or {another}"
            )
    if taken:
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
    """Compute the SHA-256 of a file's content, or None if the file cannot be read."""
    with contextlib.suppress(AnonlabError, OSError), open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and number, which all its names share, or None if it has none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
