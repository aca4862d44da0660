"""Pass 1 over a clip: every face of every frame, and who it is, as numbers.

One frame in `FINE_EVERY` is looked at closely, the others at half that scale, three times as fast: what
only the close look finds is joined to a track, and the frames between are filled in. CenterFace is asked
for faces that something hides or the frame cuts off. Faces that are not upright are followed by
`anonlab.video.slanted`. Faces of low confidence are kept too: they never begin a track, but they can go
on with one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from ..errors import NoFaceFound
from ..photo.boxes import merged
from ..photo.faces import Face, align
from ..photo.photos import Photo
from .frames import Frame
from .slanted import Slanted

if TYPE_CHECKING:
    from ..pipeline import Anonymizer

FINE_EVERY = 5  # frames
FINE_SIDE, COARSE_SIDE = 1280, 640  # longest side of a frame as looked at
SURE = 0.9  # confidence that begins a track …
LIKELY = 0.7  # … and that goes on with one
LOOK_SIZE = 256  # of the aligned face for the recogniser
THUMBNAIL = (32, 18)  # in which cuts are seen
CUT = 40.0  # mean change of a thumbnail's brightness, of 255, from one frame to the next


@dataclass(frozen=True)
class Detections:
    """Faces of consecutive frames. `N` faces, `F` frames."""

    frame: np.ndarray  # (N,) which frame each face is in, as `Frame.number`
    box: np.ndarray  # (N, 4) left, top, right, bottom in pixels
    points: np.ndarray  # (N, 5, 2) as `Face.points`
    confidence: np.ndarray  # (N,)
    embedding: np.ndarray  # (N, dim) of the recogniser
    times: np.ndarray  # (F,) seconds of every frame
    change: np.ndarray  # (F,) mean change of brightness from the frame before, of 255

    def face(self, index: int) -> Face:
        """One of them."""
        return Face(tuple(self.box[index].tolist()), self.points[index], float(self.confidence[index]))

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name, for a file."""
        return dict(vars(self))

    def cuts(self) -> set[int]:
        """Frames before which the picture changes as a whole."""
        return {int(at) for at in np.flatnonzero(self.change > CUT)}


def joined(parts: Sequence[Detections]) -> Detections:
    """Those of consecutive parts of a clip, as one."""
    names = [*vars(parts[0])]
    return Detections(**{name: np.concatenate([vars(one)[name] for one in parts]) for name in names})


def detect(
    anonymizer: Anonymizer, frames: Iterable[Frame], name: str, before: np.ndarray | None = None
) -> tuple[Detections, np.ndarray]:
    """All faces of these frames of the clip `name`, and the thumbnail of the last frame; `before` is
    that of the frame in front of them.

    Who is seen is not a number (NaN) where too little of a face is inside the frame.
    """
    rows: list[tuple[int, Face, np.ndarray]] = []
    times, change = [], []
    slanted = Slanted(anonymizer.detector)
    for frame in frames:
        side = COARSE_SIDE if frame.number % FINE_EVERY else FINE_SIDE
        photo = Photo(frame.pixels, name)
        upright = look(anonymizer, frame.pixels, side)
        hidden = half_seen(anonymizer, photo, upright)
        faces = slanted(frame.number, photo, merged([upright, hidden]))
        rows += [(number, face, embedding(anonymizer, where, face)) for number, where, face in faces]
        small = thumbnail(frame.pixels)
        away = 0.0 if before is None else float(np.abs(small - before).mean())
        change.append(2 * CUT if frame.cut else away)  # places of one size are none of another
        times.append(frame.time)
        before = small
    return Detections(
        np.array([number for number, _, _ in rows], np.int64),
        np.array([face.box for _, face, _ in rows], np.float64).reshape(-1, 4),
        np.array([face.points for _, face, _ in rows], np.float64).reshape(-1, 5, 2),
        np.array([face.confidence for _, face, _ in rows], np.float64),
        np.array([who for _, _, who in rows], np.float32).reshape(-1, anonymizer.recognizer.dim),
        np.array(times),
        np.array(change),
    ), before


def look(anonymizer: Anonymizer, pixels: np.ndarray, side: int) -> list[Face]:
    """Upright faces in `pixels (H, W, 3)`, scaled down to `side` if larger; from `LIKELY` on."""
    image = Image.fromarray(pixels)
    return anonymizer.detector.look(image, min(1.0, side / max(image.size)), LIKELY)


def half_seen(anonymizer: Anonymizer, photo: Photo, seen: Sequence[Face]) -> list[Face]:
    """Faces that are not surely among those `seen`, by the other detector, whose word is enough to begin
    a track: its confidence is on another scale."""
    sure = [face for face in seen if face.confidence >= SURE]
    others = anonymizer.detector.hidden(photo, sure)
    return [replace(face, confidence=max(face.confidence, SURE)) for face in others]


@torch.no_grad()
def embedding(anonymizer: Anonymizer, photo: Photo, face: Face) -> np.ndarray:
    """Who the recogniser sees there, `(dim,)`; NaN where too little of the face is inside the frame."""
    try:
        image = align(photo, face, LOOK_SIZE).to(anonymizer.device)
    except NoFaceFound:
        return np.full(anonymizer.recognizer.dim, np.nan, np.float32)
    return anonymizer.recognizer.embed(image)[0].cpu().numpy()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The brightness `(18, 32)` of a whole frame, 0–255."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize(THUMBNAIL, Image.Resampling.BOX), np.float32)
