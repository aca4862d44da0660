"""Small pictures of an accepted run, kept beside its numbers in the repository."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..files import atomic_path

BUDGET = 40_000  # bytes for all pictures of a notebook
WIDTHS = (640, 480, 360, 280, 220, 160, 120)  # pixels; the widest that fits is taken
QUALITY = 60  # of WebP
SUFFIX = ".webp"


def write_thumbnails(pictures: Sequence[Path], folder: Path) -> list[Path]:
    """Make `folder` hold exactly these pictures, as WebP, in at most `BUDGET` bytes together.

    All are equally wide. So many pictures that not even the narrowest fit lose the last ones.
    Raises `OutputNotWritable`.
    """
    for width in WIDTHS:
        small = {picture.stem: _encoded(picture, width) for picture in pictures}
        if sum(map(len, small.values())) <= BUDGET:
            break
    while sum(map(len, small.values())) > BUDGET:
        small.popitem()
    for stale in folder.glob(f"*{SUFFIX}"):
        if stale.stem not in small:
            stale.unlink()
    for name, encoded in small.items():
        with atomic_path(folder / f"{name}{SUFFIX}") as partial:
            partial.write_bytes(encoded)
    return [folder / f"{name}{SUFFIX}" for name in small]


def _encoded(picture: Path, width: int) -> bytes:
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    image.thumbnail((width, width * 4), Image.Resampling.LANCZOS)  # never enlarged
    made = io.BytesIO()
    image.save(made, "WEBP", quality=QUALITY, method=6)
    return made.getvalue()
