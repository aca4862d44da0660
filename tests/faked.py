"""An anonymizer without networks, for tests of what stands around them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anonlab.controls import Controls
from anonlab.errors import NoFaceFound
from anonlab.photo.photos import Photo
from anonlab.results import FaceResult, Result


class Inverter:
    """Gives the negative of every photo, as if one face filled it; dark photos have no face, white ones
    run out of memory. `before` is called with each."""

    key, device = b"", torch.device("cpu")

    def __init__(self, before: Callable[[Photo], None] = lambda _: None):
        self.before, self.seen = before, []

    def __call__(self, photo: Photo, controls: Controls, **_: object) -> Result:
        self.seen.append(Path(photo.name).name)
        self.before(photo)
        if photo.pixels.mean() < 10:
            raise NoFaceFound(f"{photo.name} shows no face that can be found; use a photo with a face")
        if photo.pixels.mean() > 245:
            raise RuntimeError("out of memory\ntried to allocate 80 GiB")
        dot = torch.zeros(1, 3, 1, 1)
        face = FaceResult(
            box=(1.0, 2.0, 30.0, 40.0), attribution=dot, mask=dot, share_of_face=0.0, aligned=dot,
            generated=dot, anonymized=dot, ws=dot, distance=0.75, drift=0.0, threshold=0.6,
            controls=controls, attempts=1, seconds=0.1,
        )  # fmt: skip
        return Result(photo.image(255 - photo.pixels), [face], photo.icc_profile)


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


def chunk(name: bytes, content: bytes, wrong: int = 0) -> bytes:
    """A chunk of a PNG; `wrong` is added to its checksum."""
    check = struct.pack(">I", (zlib.crc32(name + content) + wrong) % 2**32)
    return struct.pack(">I", len(content)) + name + content + check


def files(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too, by relative name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
