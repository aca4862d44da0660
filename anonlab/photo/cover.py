"""The fall-back where no face can be generated: cover it until the recogniser no longer matches.

Both ways keep the same few mean colours (five by six for a face, 90 numbers), so neither can be undone:
`pixels` shows them as blocks, `blur` as a smooth surface.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..controls import COVERS
from ..errors import check_choice
from .faces import Face
from .photos import Photo

CELLS = 6  # along the longer side of the face's box
WIDER = 1.35  # the ellipse that is covered, relative to the box: with chin, ears and hairline
FEATHER = 0.12  # width of its soft edge, outside of what is covered entirely


def cover(photo: Photo, face: Face, how: str = "blur", cells: int = CELLS) -> np.ndarray:
    """Cover `face` in the photo's pixels, `(H, W, 3)` uint8, in an ellipse around its box only. `how` is
    one of `COVERS`, `cells` how many colours are kept along the longer side. Raises `UnknownOption`."""
    check_choice("cover", how, COVERS)
    left, top, right, bottom = face.box
    half = WIDER * (1 + FEATHER) * np.array([right - left, bottom - top]) / 2
    middle = np.array([left + right, top + bottom]) / 2
    first = np.maximum(np.floor(middle - half).astype(int), 0)
    last = np.minimum(np.ceil(middle + half).astype(int), photo.size)
    width, height = np.maximum(last - first, 0)
    result = photo.pixels.copy()
    if width == 0 or height == 0:
        return result
    window = result[first[1] : last[1], first[0] : last[0]]
    cell = max(right - left, bottom - top) / cells
    grid = (max(1, round(width / cell)), max(1, round(height / cell)))
    few = Image.fromarray(window).resize(grid, Image.Resampling.BOX)
    smooth = Image.Resampling.BICUBIC if how == "blur" else Image.Resampling.NEAREST
    over = np.asarray(few.resize((width, height), smooth), dtype=np.float32)
    y, x = np.mgrid[first[1] : last[1], first[0] : last[0]] + 0.5
    radius = np.hypot((x - middle[0]) / (right - left), (y - middle[1]) / (bottom - top)) * 2 / WIDER
    weight = np.clip((1 + FEATHER - radius) / FEATHER, 0, 1)[..., None]
    mixed = window + weight * (over - window)
    result[first[1] : last[1], first[0] : last[0]] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return result
