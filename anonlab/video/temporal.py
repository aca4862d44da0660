"""How steady the faces of a clip are, against those of the original.

Identity over time is measured as in "Stitch it in Time" (Tzaban et al. 2022): TL-ID compares
neighbouring frames, TG-ID all pairs of frames, each relative to the same number of the original clip. 1
is as steady as the person; a new identity in every frame is far below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..measured import Measured, declare, higher, lower, shown
from ..recognizers import Recognizer, centred
from .painting import COVERED, Painted

STILL = 1e-3  # eye distances: a smaller second difference of the original counts as this
EYES = (36, 45)  # the outer corners

DECLARED = {
    "greatest match": higher,  # the smallest distance over frames: beyond the threshold nobody matches
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
