"""What a notebook shows of a clip and its result: some frames, and who the recogniser sees in all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..errors import InputDamaged, NoFaceFound
from ..photo.faces import Face, align
from ..photo.photos import Photo
from ..pipeline import Anonymizer
from ..recognizers import centred, distance
from .clips import open_clip
from .detections import FINE_SIDE, LOOK_SIZE, look
from .painting import REGENERATED, Painted
from .temporal import Signals, signals


@dataclass(frozen=True)
class Strip:
    """A clip and its result, for `anonlab.figures.video_figures.clip_figure(**vars(strip))`."""

    before: list[np.ndarray]  # some frames, (H, W, 3) uint8
    after: list[np.ndarray]
    numbers: list[int]  # which of all
    to_person: list[float]  # of every frame with a face: the new face's distance to the person
    own: list[float]  # cosine of each frame to the next, in the clip …
    new: list[float]  # … and in its result
    threshold: float


def strip(anonymizer: Anonymizer, clip: Path, result: Path, count: int = 6) -> Strip:
    """`count` frames of a `clip` and its `result`, and the curves of its surest face.

    Raises `NoFaceFound` when there is no face in any frame, `UnreadableImage`, and `InputDamaged` for
    two files that are not one clip.
    """
    track, kept = compare(anonymizer, clip, result, count)
    recognizer = anonymizer.recognizer

    def neighbours(embeddings: np.ndarray) -> list[float]:
        units = centred(recognizer, torch.from_numpy(embeddings))
        return (units[1:] * units[:-1]).sum(1).tolist()

    return Strip(
        [before for _, before, _ in kept], [after for _, _, after in kept],
        [number for number, _, _ in kept], track.distances.tolist(), neighbours(track.before),
        neighbours(track.after), recognizer.threshold,
    )  # fmt: skip


def compare(
    anonymizer: Anonymizer, clip: Path, result: Path, count: int = 0
) -> tuple[Signals, list[tuple[int, np.ndarray, np.ndarray]]]:
    """Measure a result from its file: what a viewer sees, after encoding.

    The surest face of each frame of the original is looked at in both, at the same place. Also returns
    `count` frames: number, before and after. For clips of one face; raises as `strip`.
    """
    frames = sum(1 for _ in open_clip(clip, result).frames())
    chosen = {round(one) for one in np.linspace(0, frames - 1, count)} if count else set()
    rows: list[Painted] = []
    kept = []
    pairs = zip(open_clip(clip, result).frames(), open_clip(result, result).frames(), strict=False)
    for before, after in pairs:
        if before.pixels.shape != after.pixels.shape:
            raise InputDamaged(f"{result} is not of the size of {clip}; choose its own result")
        if before.number in chosen:
            kept.append((before.number, before.pixels, after.pixels))
        faces = look(anonymizer, before.pixels, FINE_SIDE)
        if faces:
            face = max(faces, key=lambda one: one.confidence)
            rows.append(seen_in_both(anonymizer, before.number, face, before.pixels, after.pixels))
    if not rows:
        raise NoFaceFound(f"{clip} shows no face that can be found; choose a clip with one")
    return signals(rows), kept


@torch.no_grad()
def seen_in_both(
    anonymizer: Anonymizer, number: int, face: Face, before: np.ndarray, after: np.ndarray
) -> Painted:
    """One face at one place of two frames `(H, W, 3)`, as the recogniser and the landmarks see it."""
    photo = Photo(before, f"frame {number}")
    images = [
        align(one, face, LOOK_SIZE).to(anonymizer.device)
        for one in (photo, replace(photo, pixels=after))
    ]
    old, new = (anonymizer.recognizer.embed(one) for one in images)
    matrix = face.to_photo(1)
    points = [
        anonymizer.perception.landmarks(one)[0].cpu().numpy() @ matrix[:, :2].T + matrix[:, 2]
        for one in images
    ]
    apart = distance(anonymizer.recognizer, old, new).item()
    return Painted(0, number, REGENERATED, apart, old[0].cpu().numpy(), new[0].cpu().numpy(), *points)
