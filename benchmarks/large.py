"""Measure which small faces are found in pictures of 1 to 150 megapixels, in what time and memory.

    python benchmarks/large.py FOLDER [--megapixels 1 10 40 150] [--heights 32 45 60 74]

Faces of FOLDER (person/photo.jpg, one face a photo) are pasted at known places into a textured canvas,
ten of each height (fewer where they do not fit). One JSON line a picture is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from anonlab.errors import NoFaceFound
from anonlab.photo.boxes import overlap
from anonlab.photo.detection import Detector
from anonlab.photo.faces import Face
from anonlab.photo.photos import Photo, read_photo

TILE = 1024  # pixels of the texture that is repeated


def texture(rng: np.random.Generator) -> Image.Image:
    """Draw noise of all sizes, in muted colours."""
    total = np.full((TILE, TILE, 3), 120.0)
    for side in (4, 16, 64, 256, TILE):
        octave = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        octave = Image.fromarray(octave).resize((TILE, TILE), Image.Resampling.BICUBIC)
        total += (np.asarray(octave, np.float32) - 128) * (4 / side) ** 0.35 * 0.5
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def scene(
    heads: list[tuple[Image.Image, Face]],
    size: tuple[int, int],
    height: int,
    rolled: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Face]]:
    """Paste up to ten faces `height` pixels high into a canvas of `size`; also return where they are."""
    canvas, tile, placed = Image.new("RGB", size), texture(rng), []
    for top in range(0, size[1], TILE):
        for left in range(0, size[0], TILE):
            canvas.paste(tile, (left, top))
    cells = np.array([max(1, min(5, size[0] // (4 * height))), max(1, min(2, size[1] // (4 * height)))])
    for number in range(int(cells.prod())):
        image, face = heads[rng.integers(len(heads))]
        scale = height / (face.box[3] - face.box[1])
        middle = np.array([face.box[0] + face.box[2], face.box[1] + face.box[3]]) / 2
        half = 0.95 * (face.box[3] - face.box[1])
        head = image.crop([round(side) for side in (*(middle - half), *(middle + half))])
        side = round(2 * half * scale)
        head = head.resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
        oval = Image.new("L", head.size)
        ImageDraw.Draw(oval).ellipse((side * 0.1, side * 0.02, side * 0.9, side * 0.98), fill=255)
        oval = oval.filter(ImageFilter.GaussianBlur(side * 0.03))
        angle = rng.uniform(-180, 180) if rolled else 0
        head, oval = (one.rotate(angle, Image.Resampling.BICUBIC) for one in (head, oval))
        cell = np.array(size) / cells
        at = cell * (np.array([number % cells[0], number // cells[0]]) + rng.uniform(0.3, 0.7, 2))
        canvas.paste(head, tuple(np.rint(at - side / 2).astype(int).tolist()), oval)
        box = np.array([-1, -1, 1, 1]) * height / 2 * np.array([0.8, 1, 0.8, 1]) + np.tile(at, 2)
        placed.append(Face(tuple(box.tolist()), face.points, 1.0))
    return np.asarray(canvas), placed


def main() -> None:
    """Paste, look, count."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--megapixels", type=float, nargs="+", default=[1, 10, 40, 150])
    options.add_argument("--heights", type=int, nargs="+", default=[32, 45, 60, 74])
    options.add_argument(
        "--aspect", type=float, default=4 / 3, help="width over height; 16 is a panorama"
    )
    options.add_argument("--rolled", action="store_true")
    chosen = options.parse_args()
    heads, detector = [], Detector()
    for path in sorted(chosen.folder.glob("*/1.jpg"))[:12] or sorted(chosen.folder.glob("*/*.jpg"))[:12]:
        photo = read_photo(path)
        with contextlib.suppress(NoFaceFound):
            heads.append((Image.fromarray(photo.pixels), detector.once(photo)[0]))
    for megapixels in chosen.megapixels:
        for height in chosen.heights:
            rng = np.random.default_rng([round(megapixels), height])
            down = round((megapixels * 1e6 / chosen.aspect) ** 0.5)
            size = round(down * chosen.aspect), down
            pixels, placed = scene(heads, size, height, chosen.rolled, rng)
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            try:
                found = detector(Photo(pixels, "scene"))
            except NoFaceFound:
                found = []
            hits = sum(max((overlap(one, face) for face in found), default=0) > 0.2 for one in placed)
            real = [max(overlap(one, face) for one in placed) > 0.05 for face in found]
            print(json.dumps({
                "megapixels": megapixels, "size": size, "height": height, "rolled": chosen.rolled,
                "placed": len(placed), "found": hits, "phantoms": len(found) - sum(real),
                "seconds": round(time.monotonic() - began, 1),
                "peak_grew_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
