"""Faces as boxes: what two of them share, which of several looks stay, how they move with a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from .faces import Face

SAME = 0.3  # intersection over union, or …
WITHIN = 0.6  # … share of the smaller box, that makes two boxes one face
SURER = 0.005  # of two looks at one face: by how much the later one must be


def overlap(a: Face, b: Face) -> float:
    """Compute the intersection over union of two faces' boxes."""
    shared = shared_area(a, b)
    return shared / (a.area + b.area - shared)


def merged(looks: Iterable[Sequence[Face]]) -> list[Face]:
    """Merge the faces of several looks, each once: that of the earlier look, unless a later one is surer
    (a rolled face may be seen in the upright photo, with its points in the wrong places)."""
    kept: list[Face] = []
    for look in looks:
        for face in look:
            rivals = [other for other in kept if same(face, other)]
            if any(face.confidence < other.confidence + SURER for other in rivals):
                continue
            kept = [other for other in kept if other not in rivals] + [face]
    return kept


def same(a: Face, b: Face) -> bool:
    """Tell whether two boxes are one face."""
    return overlap(a, b) > SAME or shared_area(a, b) > WITHIN * min(a.area, b.area)


def among(face: Face, others: Iterable[Face]) -> bool:
    """Tell whether a face is one of `others`."""
    return any(same(face, other) for other in others)


def shared_area(a: Face, b: Face) -> float:
    """Compute the area that two boxes share, in square pixels."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    return max(0.0, width) * max(0.0, height)


def moved(face: Face, matrix: np.ndarray) -> Face:
    """Move a face by the affine `matrix (2, 3)`.

    Its box is that of the moved ellipse in the old one, which does not grow when it turns.
    """
    first, last = np.array(face.box).reshape(2, 2)
    middle = (first + last) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.hypot(*(matrix[:, :2] * (last - first) / 2).T)
    box = tuple(np.concatenate([middle - half, middle + half]).tolist())
    return replace(face, box=box, points=face.points @ matrix[:, :2].T + matrix[:, 2])
