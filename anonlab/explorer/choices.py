"""What can be opened: the samples, which everybody may see, and somebody's own photos."""

from __future__ import annotations

import secrets
from pathlib import Path

from ..generators.samples import SAMPLES
from ..photo.photos import READABLE
from ..weights.store import notebooks_folder


def photo_choices(folder: Path | None = None) -> list[str]:
    """Sample faces, and the photos in `folder` (by default `data/photos`, for your own)."""
    folder = folder or notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]


def is_sample(photo: str) -> bool:
    """Whether a choice is one of the photos that come with anonlab, which are nobody's secret."""
    return photo.startswith(("astronaut", "synthetic-")) and not Path(photo).suffix


def as_text(key: bytes) -> str:
    """A key that was typed by somebody, or a new one in place of random bytes, which none can type."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return secrets.token_hex(32)
    return text if text.isprintable() else secrets.token_hex(32)
