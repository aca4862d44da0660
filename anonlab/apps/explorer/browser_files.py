"""Files of the explorer: what can be opened, uploads from a browser, and what it saves."""

from __future__ import annotations

import io
import secrets
import tempfile
from pathlib import Path

from ...figures.samples import SAMPLES
from ...photo.photos import READABLE, Photo, write_photo
from ...results import Result
from ...weights.store import notebooks_folder


def photo_choices(folder: Path | None = None) -> list[str]:
    """List the sample faces, and the photos in `folder` (by default `data/photos`)."""
    folder = folder or notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]


def is_sample(photo: str) -> bool:
    """Say whether a choice is a photo that comes with anonlab, which is no secret."""
    return photo.startswith(("astronaut", "synthetic-")) and not Path(photo).suffix


def as_text(key: bytes) -> str:
    """Return a key that was typed, or a new one in place of random bytes, which cannot be typed."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return secrets.token_hex(32)
    return text if text.isprintable() else secrets.token_hex(32)


def opened(name: str, content: bytes) -> io.BytesIO:
    """An upload as an open file with a name, as `read_photo` takes it."""
    file = io.BytesIO(content)
    file.name = name
    return file


def finished_name(photo: str) -> str:
    """Name a finished photo: `me-anonymized.jpg` of `/somewhere/me.jpg`."""
    path = Path(photo)
    suffix = path.suffix if path.suffix.lower() in READABLE else ".png"
    return f"{path.stem}-anonymized{suffix}"


def as_file(result: Result, name: str, photo: Photo) -> bytes:
    """The bytes that the command line would write for this result of `photo` under this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{Path(name).suffix}"
        write_photo(result.image, path, result.icc_profile, photo)
        return path.read_bytes()
