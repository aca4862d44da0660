"""How steady the faces of a clip are, against those of the original.

Identity over time is measured as in "Stitch it in Time" (Tzaban et al. 2022): TL-ID compares
neighbouring frames, TG-ID all pairs of frames, each relative to the same number of the original clip. 1
is as steady as the person; a new identity in every frame is far below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...errors import InputDamaged, NoFaceFound
from ...measured import Measured, declare, higher, lower, shown
from ...photo.faces import Face, align
from ...photo.photos import Photo
from ...pipeline import Anonymizer
from ...recognizers import Recognizer, centred, distance
from .clips import open_clip
from .detections import FINE_SIDE, LOOK_SIZE, look
from .painting import COVERED, REGENERATED, Painted

STILL = 1e-3  # eye distances: a smaller second difference of the original counts as this
EYES = (36, 45)  # the outer corners

DECLARED = {
    "greatest match": higher,  # the smallest distance over frames: beyond the threshold no frame matches
    "frames matched": lower,
    "TL-ID": higher,
    "TG-ID": higher,
    "jitter": lower,
    "change outside masks": lower,
    "frames covered": lower,
    "threshold": shown,
}


@dataclass(frozen=True)
class Signals:
    """One face over `T` frames, before and after."""

    frames: np.ndarray  # (T,) increasing; neighbours differ by 1
    before: np.ndarray  # (T, dim) embeddings
    after: np.ndarray  # (T, dim)
    points_before: np.ndarray  # (T, 68, 2) in pixels of the clip
    points_after: np.ndarray  # (T, 68, 2)
    distances: np.ndarray  # (T,) of each frame's new face to the person
    covered: np.ndarray  # (T,) bool, where the fall-back was taken


def signals(painted: Sequence[Painted]) -> Signals:
    """Of one track; frames in which the face was cut off by the edge, and not measured, are left out."""
    seen = sorted((one for one in painted if not np.isnan(one.before).any()), key=lambda one: one.frame)
    return Signals(
        np.array([one.frame for one in seen]),
        np.stack([one.before for one in seen]),
        np.stack([one.after for one in seen]),
        np.stack([one.points_before for one in seen]),
        np.stack([one.points_after for one in seen]),
        np.array([one.distance for one in seen]),
        np.array([one.done == COVERED for one in seen]),
    )


def measure(recognizer: Recognizer, track: Signals, outside: float | None = None) -> dict[str, Measured]:
    """All measures of one track by name. `outside` is the mean change of pixels outside masks, of 255.

    Those over time are of frames with a generated face, and not there when there are too few of them:
    `greatest match` is the smallest distance to the person in any frame, `jitter` the second difference
    of the 68 points over that of the original.
    """
    values: dict[str, object] = {
        "greatest match": float(track.distances.min()),
        "threshold": recognizer.threshold,
        "frames matched": float((track.distances < recognizer.threshold).mean()),
        "frames covered": float(track.covered.mean()),
    }
    if outside is not None:
        values["change outside masks"] = outside
    made = ~track.covered
    frames, before, after = track.frames[made], track.before[made], track.after[made]
    if len(frames) > 1:
        values["TG-ID"] = global_identity(recognizer, after) / global_identity(recognizer, before)
        if (np.diff(frames) == 1).any():
            values["TL-ID"] = local_identity(recognizer, frames, after) / local_identity(
                recognizer, frames, before
            )
    own = second_difference(frames, track.points_before[made])
    if own is not None:
        values["jitter"] = second_difference(frames, track.points_after[made]) / max(own, STILL)
    cases = {name: len(track.frames) for name in ("frames matched", "frames covered")}
    return declare(values, DECLARED, cases)


def local_identity(recognizer: Recognizer, frames: np.ndarray, embeddings: np.ndarray) -> float:
    """Mean cosine between neighbouring frames, as seen from the recogniser's mean; 1 is the same."""
    units = centred(recognizer, torch.from_numpy(embeddings)).numpy()
    return float((units[1:] * units[:-1]).sum(1)[np.diff(frames) == 1].mean())


def global_identity(recognizer: Recognizer, embeddings: np.ndarray) -> float:
    """Mean cosine between all pairs of frames, `(T, dim)` with T of 2 or more."""
    units = centred(recognizer, torch.from_numpy(embeddings)).double().numpy()
    count = len(units)
    return float((np.square(units.sum(0)).sum() - count) / (count * (count - 1)))


def second_difference(frames: np.ndarray, points: np.ndarray) -> float | None:
    """Mean length of `p(t - 1) - 2 p(t) + p(t + 1)` over all `points (T, 68, 2)` and frames in a row, in
    eye distances; None without three frames in a row."""
    in_a_row = (np.diff(frames)[:-1] == 1) & (np.diff(frames)[1:] == 1) if len(frames) > 2 else []
    if not np.any(in_a_row):
        return None
    eyes = np.linalg.norm(points[:, EYES[0]] - points[:, EYES[1]], axis=1).mean()
    change = np.linalg.norm(points[:-2] - 2 * points[1:-1] + points[2:], axis=2).mean(1)
    return float(change[in_a_row].mean() / eyes)


def change_outside(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute change `(H, W, 3)` uint8 where `mask (H, W)` is false, of 255."""
    away = np.abs(before.astype(np.int16) - after)[~mask]
    return float(away.mean()) if away.size else 0.0


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
