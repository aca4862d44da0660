"""How steady the face of a clip is, against that of the original, as a viewer sees it after encoding."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ...errors import InputDamaged, NoFaceFound
from ...photo.faces import align
from ...photo.photos import Photo
from ...pipeline import Anonymizer
from ...recognizers import centred, distance
from .clips import open_clip
from .detections import FINE_SIDE, LOOK_SIZE, look


class Strip(NamedTuple):
    """A clip and its result."""

    before: list[np.ndarray]  # some frames, (H, W, 3) uint8
    after: list[np.ndarray]
    numbers: list[int]  # which of all
    to_person: list[float]  # of every frame with a face: the new face's distance to the person
    own: list[float]  # cosine of each face to the next, from the recogniser's mean, in the clip …
    new: list[float]  # … and in its result
    threshold: float


@torch.no_grad()
def strip(anonymizer: Anonymizer, clip: Path, result: Path, count: int = 6) -> Strip:
    """Read `count` frames of a `clip` and its `result`, and the curves of its surest face, which is
    looked at in both at the same place.

    The mean of `new` over that of `own` is TL-ID of "Stitch it in Time" (Tzaban et al. 2022). Raises
    `NoFaceFound`, `UnreadableImage`, and `InputDamaged` for two files that are not one clip.
    """
    original, recognizer = open_clip(clip, result), anonymizer.recognizer
    chosen = {round(one) for one in np.linspace(0, original.count - 1, count)}
    rows, kept = [], []
    for before, after in zip(original.frames(), open_clip(result, result).frames(), strict=False):
        if before.pixels.shape != after.pixels.shape:
            raise InputDamaged(f"{result} is not of the size of {clip}; choose its own result")
        if before.number in chosen:
            kept.append((before.pixels, after.pixels, before.number))
        faces = look(anonymizer, before.pixels, FINE_SIDE)
        if faces:
            face = max(faces, key=lambda one: one.confidence)
            images = (align(Photo(one.pixels, "frame"), face, LOOK_SIZE) for one in (before, after))
            rows.append([recognizer.embed(one.to(anonymizer.device)) for one in images])
    if not rows:
        raise NoFaceFound(f"{clip} shows no face that can be found; choose a clip with one")
    units = [centred(recognizer, torch.cat(one)) for one in zip(*rows, strict=True)]
    own, new = ((one[1:] * one[:-1]).sum(1).tolist() for one in units)
    away = [distance(recognizer, *row).item() for row in rows]
    return Strip(*map(list, zip(*kept, strict=True)), away, own, new, recognizer.threshold)
