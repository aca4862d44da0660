"""An anonymizer without networks, for tests of what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from anonlab.controls import Controls
from anonlab.photo.photos import Photo

ENTRY = {
    "number": 1,
    "box": [1.0, 2.0, 30.0, 40.0],
    "distance": 0.75,
    "threshold": 0.6,
    "matched": False,
}


class Inverter:
    """Gives the negative of every photo, as if one face filled it; `before` is called with each."""

    key = b""

    def __init__(self, before: Callable[[Photo], None] = lambda _: None):
        self.before, self.seen = before, []

    def __call__(self, photo: Photo, controls: Controls, **_: object) -> SimpleNamespace:
        self.seen.append(Path(photo.name).name)
        self.before(photo)
        image = photo.image(255 - photo.pixels)
        return SimpleNamespace(image=image, records=lambda: [dict(ENTRY)])


def noise(seed: int = 0, height: int = 48, width: int = 64) -> np.ndarray:
    """Random pixels `(H, W, 3)` uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo_file(path: Path, seed: int = 0, **options: object) -> np.ndarray:
    """Write a photo, making its folder; returns its pixels."""
    return written(path, noise(seed), **options)


def written(path: Path, pixels: np.ndarray, **options: object) -> np.ndarray:
    """Write pixels to `path`, making its folder; returns them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def pixels_of(path: Path) -> np.ndarray:
    """A picture on the disk as RGB."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def files(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too, by relative name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
