"""Pass 1 over a clip: every face of every frame, and its embedding, as numbers.

One frame in `FINE_EVERY` is looked at closely, the others at half that scale, three times as fast: what
only the close look finds is joined to a track, and the frames between are filled in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from ...errors import NoFaceFound
from ...photo.boxes import among, merged
from ...photo.detection import ROLLED, Detector
from ...photo.faces import Face, align
from ...photo.photos import Photo
from ...side_by_side import InOrder
from .frames import Frame

if TYPE_CHECKING:
    from ...pipeline import Anonymizer

FINE_EVERY = 5  # frames
FINE_SIDE, COARSE_SIDE = 1280, 640  # longest side of a frame as looked at
SURE = 0.9  # confidence that begins a track
LIKELY = 0.7  # of MTCNN, in a look at the whole frame
LOOK_SIZE = 256  # of the aligned face for the recogniser
THUMBNAIL = (32, 18)  # in which cuts are seen
TURNED_EVERY = 12  # frames, half a second; how often a frame is looked at turned
CUT = 40.0  # mean change of a thumbnail's brightness, of 255, from one frame to the next
# a frame, its upright faces, and what is seen in it turned
Looks = tuple[Photo, list[Face], list[Face] | None]


@dataclass(frozen=True)
class Detections:
    """Faces of consecutive frames. `N` faces, `F` frames."""

    frame: np.ndarray  # (N,) which frame each face is in, as `Frame.number`
    box: np.ndarray  # (N, 4) left, top, right, bottom in pixels
    points: np.ndarray  # (N, 5, 2) as `Face.points`
    confidence: np.ndarray  # (N,)
    embedding: np.ndarray  # (N, dim) of the recogniser; NaN where too little of a face is in the frame
    times: np.ndarray  # (F,) seconds of every frame
    change: np.ndarray  # (F,) mean change of brightness from the frame before, of 255

    def scenes(self) -> np.ndarray:
        """Tell the scene of each frame by number, `(F,)`: one begins where the whole picture changes."""
        return np.cumsum(self.change > CUT)


def joined(parts: Sequence[Detections]) -> Detections:
    """Join those of consecutive parts of a clip."""
    return Detections(*map(np.concatenate, zip(*(vars(one).values() for one in parts), strict=True)))


def detect(
    anonymizer: Anonymizer,
    frames: Sequence[Frame],
    name: str,
    before: np.ndarray | None = None,
    in_order: InOrder = map,
) -> Detections:
    """Find all faces of consecutive frames of the clip `name`; `before` is the thumbnail of the frame in
    front of them, and `in_order` as by `side_by_side`."""

    def seen(frame: Frame) -> Looks:
        side = COARSE_SIDE if frame.number % FINE_EVERY else FINE_SIDE
        photo = Photo(frame.pixels, name)
        faces = [  # what both see, or one twice, is enough to begin a track
            replace(face, confidence=max(face.confidence, SURE))
            for face in anonymizer.detector.upright(photo, side)
        ]
        due = frame.number % TURNED_EVERY == 0 or frame is frames[0]
        return photo, faces, anonymizer.detector.turned(photo) if due else None

    looks = [*in_order(seen, frames)]
    faces = with_rolled(anonymizer.detector, looks)
    rows = [(photo, face) for (photo, *_), own in zip(looks, faces, strict=True) for face in own]
    embeddings = [*in_order(lambda row: embedding(anonymizer, *row), rows)]
    small = [thumbnail(one.pixels) for one in frames]
    earlier = [small[0] if before is None else before, *small[:-1]]
    change = [np.abs(now - was).mean() for was, now in zip(earlier, small, strict=True)]
    return Detections(
        np.repeat([one.number for one in frames], [len(own) for own in faces]),
        np.array([face.box for _, face in rows], np.float64).reshape(-1, 4),
        np.array([face.points for _, face in rows], np.float64).reshape(-1, 5, 2),
        np.array([face.confidence for _, face in rows], np.float64),
        np.array(embeddings, np.float32).reshape(-1, anonymizer.recognizer.dim),
        np.array([one.time for one in frames]),
        # places of one size are none of another
        np.where([one.cut for one in frames], 2 * CUT, change),
    )


def with_rolled(detector: Detector, looks: Sequence[Looks]) -> list[list[Face]]:
    """Follow rolled faces through consecutive frames; returns all faces of each.

    Looking at a turned frame costs as much as five other frames. So one in `TURNED_EVERY` is looked at
    that way; a rolled face is then looked for from near in the frames after and before.
    """

    def again(photo: Photo, faces: Iterable[Face]) -> list[Face]:
        seen = []
        for face in faces:
            with contextlib.suppress(NoFaceFound):  # it has left the frame
                seen += filter(None, [detector.again(photo, face)])
        return seen

    found: list[list[Face]] = []
    for at, (photo, upright, turned) in enumerate(looks):
        rolled = [one for one in found[-1] if one.roll > ROLLED] if found else []
        faces = merged([upright, again(photo, rolled)])
        if turned is not None:
            turned = [one for one in turned if one.roll > ROLLED]
            faces = merged([faces, turned])
            new = [one for one in faces if among(one, turned)]
            for earlier in range(at - 1, max(-1, at - 1 - TURNED_EVERY), -1):
                new = [one for one in again(looks[earlier][0], new) if not among(one, found[earlier])]
                found[earlier] += new
        found.append(faces)
    return found


def look(anonymizer: Anonymizer, pixels: np.ndarray, side: int) -> list[Face]:
    """Find upright faces in `pixels (H, W, 3)`, scaled down to `side` if larger; from `LIKELY` on."""
    image = Image.fromarray(pixels)
    return anonymizer.detector.by_mtcnn(image, min(1.0, side / max(image.size)), LIKELY)


@torch.no_grad()
def embedding(anonymizer: Anonymizer, photo: Photo, face: Face) -> np.ndarray:
    """Embed a face, `(dim,)`; NaN where too little of the face is inside the frame."""
    try:
        image = align(photo, face, LOOK_SIZE).to(anonymizer.device)
    except NoFaceFound:
        return np.full(anonymizer.recognizer.dim, np.nan, np.float32)
    return anonymizer.recognizer.embed(image)[0].cpu().numpy()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Compute the brightness `(18, 32)` of a whole frame, 0–255."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize(THUMBNAIL, Image.Resampling.BOX), np.float32)
