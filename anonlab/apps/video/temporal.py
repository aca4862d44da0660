"""How steady the face of a clip is, against that of the original, as a viewer sees it after encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ...errors import InputDamaged, NoFaceFound
from ...notebook.plots import PICTURE_INCHES
from ...photo.faces import Face, align
from ...photo.photos import Photo
from ...pipeline import Anonymizer
from ...recognizers import Recognizer, centred, distance
from .clips import open_clip
from .detections import FINE_SIDE, LOOK_SIZE, look

BEFORE, AFTER, LIMIT = "#2e86ab", "#c44e52", "#666666"  # colours of the curves


@dataclass(frozen=True)
class Strip:
    """A clip and its result, for `clip_figure`."""

    before: list[np.ndarray]  # some frames, (H, W, 3) uint8
    after: list[np.ndarray]
    numbers: list[int]  # which of all
    to_person: list[float]  # of every frame with a face: the new face's distance to the person
    own: list[float]  # cosine of each frame to the next, in the clip …
    new: list[float]  # … and in its result
    threshold: float


def strip(anonymizer: Anonymizer, clip: Path, result: Path, count: int = 6) -> Strip:
    """`count` frames of a `clip` and its `result`, and the curves of its surest face, which is looked at
    in both at the same place.

    The mean of `new` over that of `own` is TL-ID of "Stitch it in Time" (Tzaban et al. 2022). Raises
    `NoFaceFound` when there is no face in any frame, `UnreadableImage`, and `InputDamaged` for two files
    that are not one clip.
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
            rows.append(seen_in_both(anonymizer, face, before.pixels, after.pixels))
    if not rows:
        raise NoFaceFound(f"{clip} shows no face that can be found; choose a clip with one")
    own, new = (neighbours(recognizer, torch.cat(one)).tolist() for one in zip(*rows, strict=True))
    away = [distance(recognizer, *row).item() for row in rows]
    return Strip(*map(list, zip(*kept, strict=True)), away, own, new, recognizer.threshold)


@torch.no_grad()
def seen_in_both(
    anonymizer: Anonymizer, face: Face, before: np.ndarray, after: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings `(1, dim)` of one face at one place of two frames `(H, W, 3)`."""
    images = (align(Photo(one, "frame"), face, LOOK_SIZE) for one in (before, after))
    old, new = (anonymizer.recognizer.embed(one.to(anonymizer.device)) for one in images)
    return old, new


def neighbours(recognizer: Recognizer, embeddings: torch.Tensor) -> torch.Tensor:
    """Cosines `(T - 1,)` of consecutive `embeddings (T, dim)`, from the recogniser's mean; 1 is the
    same."""
    units = centred(recognizer, embeddings)
    return (units[1:] * units[:-1]).sum(1)


def clip_figure(strip: Strip) -> Figure:
    """Draw the frames of both clips, and two curves over all frames: the distance of each new face to
    the person, and the cosines of neighbouring frames."""
    height, width = strip.before[0].shape[:2]
    wide = PICTURE_INCHES * 1.1
    tall = wide * height / width
    figure = Figure(figsize=(wide * len(strip.numbers), 2 * tall + 3.0), layout="constrained")
    grid = figure.add_gridspec(3, len(strip.numbers), height_ratios=(tall, tall, 2.7))
    for row, (name, pictures) in enumerate((("clip", strip.before), ("anonymized", strip.after))):
        for column, (number, pixels) in enumerate(zip(strip.numbers, pictures, strict=True)):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(pixels)
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"frame {number}", fontsize=10)
            if column == 0:
                axis.set_ylabel(name, fontsize=11)
    half = max(1, len(strip.numbers) // 2)
    left = figure.add_subplot(grid[2, :half])
    left.plot(strip.to_person, "o-", ms=3, color=AFTER, label="new face to the person")
    left.axhline(strip.threshold, color=LIMIT, lw=1, ls="--", label="below: recognised")
    left.set(xlabel="frame", ylabel="distance", ylim=(0, None))
    right = figure.add_subplot(grid[2, half:])
    right.plot(np.arange(len(strip.own)) + 0.5, strip.own, "o-", ms=3, color=BEFORE, label="clip")
    right.plot(np.arange(len(strip.new)) + 0.5, strip.new, "o-", ms=3, color=AFTER, label="anonymized")
    right.set(xlabel="frame", ylabel="cosine of neighbouring frames")
    for axis, number in ((axis, number) for axis in (left, right) for number in strip.numbers):
        axis.axvline(number, color="#e3e6e9", lw=0.8, zorder=0)
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
