"""Pass 1 over a clip: every face of every frame, and its embedding, as numbers.

One frame in `FINE_EVERY` is looked at closely, the others at half that scale, three times as fast: what
only the close look finds is joined to a track, and the frames between are filled in. CenterFace is asked
for faces that something hides or the frame cuts off. Faces of low confidence are kept too: they never
begin a track, but they can go on with one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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
from .frames import Frame
from .side_by_side import InOrder

if TYPE_CHECKING:
    from ...pipeline import Anonymizer

FINE_EVERY = 5  # frames
FINE_SIDE, COARSE_SIDE = 1280, 640  # longest side of a frame as looked at
SURE = 0.9  # confidence that begins a track …
LIKELY = 0.7  # … and that goes on with one
LOOK_SIZE = 256  # of the aligned face for the recogniser
THUMBNAIL = (32, 18)  # in which cuts are seen
TURNED_EVERY = 12  # frames, half a second; how often a frame is looked at turned
CUT = 40.0  # mean change of a thumbnail's brightness, of 255, from one frame to the next
Found = tuple[int, Face, Photo]  # a face in the frame of a number


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

    def scenes(self) -> np.ndarray:
        """The scene of each frame, `(F,)`: a new one begins where the picture changes as a whole."""
        return np.cumsum(self.change > CUT)


def joined(parts: Sequence[Detections]) -> Detections:
    """Those of consecutive parts of a clip, as one."""
    names = [*vars(parts[0])]
    return Detections(**{name: np.concatenate([vars(one)[name] for one in parts]) for name in names})


def detect(
    anonymizer: Anonymizer,
    frames: Iterable[Frame],
    name: str,
    length: int,
    before: np.ndarray | None = None,
    in_order: InOrder = map,
) -> Iterator[Detections]:
    """Find all faces of the frames of the clip `name`, for every `length` frames; `before` is the
    thumbnail of the frame in front of them, and `in_order` as by `side_by_side`.

    The embedding is not a number (NaN) where too little of a face is inside the frame.
    """

    def seen(frame: Frame) -> tuple[Frame, Photo, np.ndarray, list[Face], list[Face] | None]:
        side = COARSE_SIDE if frame.number % FINE_EVERY else FINE_SIDE
        photo = Photo(frame.pixels, name)
        upright = look(anonymizer, frame.pixels, side)
        faces = merged([upright, occluded(anonymizer, photo, upright)])
        due = frame.number % TURNED_EVERY == 0 or frame.number % length == 0
        turned = anonymizer.detector.turned(photo) if due else None
        return frame, photo, thumbnail(frame.pixels), faces, turned

    def followed(before: np.ndarray | None) -> Iterator[tuple[float, float, list[Found]]]:
        for frame, photo, small, faces, turned in in_order(seen, frames):
            if frame.number % length == 0:  # where a run may begin
                rolled = RolledFaces(anonymizer.detector)
            away = 0.0 if before is None else float(np.abs(small - before).mean())
            change = 2 * CUT if frame.cut else away  # places of one size are none of another
            before = small
            yield frame.time, change, rolled(frame.number, photo, faces, turned)

    def embedded(row: tuple[float, float, list[Found]]) -> tuple[float, float, list[tuple]]:
        time, change, found = row
        return time, change, [(*one, embedding(anonymizer, photo, one[1])) for *one, photo in found]

    rows = iter(in_order(embedded, followed(before)))
    while part := [*itertools.islice(rows, length)]:
        times, changes, found = zip(*part, strict=True)
        faces = [*itertools.chain(*found)]
        yield Detections(
            np.array([number for number, _, _ in faces], np.int64),
            np.array([face.box for _, face, _ in faces], np.float64).reshape(-1, 4),
            np.array([face.points for _, face, _ in faces], np.float64).reshape(-1, 5, 2),
            np.array([face.confidence for _, face, _ in faces], np.float64),
            np.array([one for _, _, one in faces], np.float32).reshape(-1, anonymizer.recognizer.dim),
            np.array(times),
            np.array(changes),
        )


class RolledFaces:
    """Follow rolled faces through consecutive frames.

    The detector knows upright faces, and looking at a turned frame costs as much as five other frames.
    So one frame in `TURNED_EVERY` is looked at that way; a rolled face is then looked for again from
    near, in its own upright square, in the frames after and before.
    """

    def __init__(self, detector: Detector):
        self.detector = detector
        self.last: list[Face] = []  # those of the frame before
        self.recent: deque[tuple[int, Photo, list[Face]]] = deque(maxlen=TURNED_EVERY)

    def __call__(
        self, number: int, photo: Photo, upright: Sequence[Face], turned: Sequence[Face] | None
    ) -> list[Found]:
        """All faces of the frame `number`, of which `upright` are known, and `turned` where it was
        looked at that way; and those of earlier frames that only this one gives away."""
        faces = [self.detector.nearer(photo, one) if one.roll > ROLLED else one for one in upright]
        faces = merged([faces, self._again(photo, self.last)])
        earlier: list[Found] = []
        if turned is not None:
            turned = [one for one in turned if one.roll > ROLLED]
            faces = merged([faces, turned])
            earlier = self._before([one for one in faces if among(one, turned)])
        self.last = [one for one in faces if one.roll > ROLLED]
        self.recent.append((number, photo, faces))
        return earlier + [(number, face, photo) for face in faces]

    def _before(self, faces: list[Face]) -> list[Found]:
        """These faces in the frames before, back to where they are known or no longer found."""
        found: list[Found] = []
        for number, photo, known in reversed(self.recent):
            faces = [one for one in self._again(photo, faces) if not among(one, known)]
            known.extend(faces)
            found += [(number, face, photo) for face in faces]
        return found[::-1]

    def _again(self, photo: Photo, faces: Iterable[Face]) -> list[Face]:
        """Those of `faces` that are still there."""
        seen: list[Face | None] = []
        for face in faces:
            with contextlib.suppress(NoFaceFound):  # it has left the frame
                seen.append(self.detector.again(photo, face))
        return [face for face in seen if face is not None]


def look(anonymizer: Anonymizer, pixels: np.ndarray, side: int) -> list[Face]:
    """Upright faces in `pixels (H, W, 3)`, scaled down to `side` if larger; from `LIKELY` on."""
    image = Image.fromarray(pixels)
    return anonymizer.detector.by_mtcnn(image, min(1.0, side / max(image.size)), LIKELY)


def occluded(anonymizer: Anonymizer, photo: Photo, seen: Sequence[Face]) -> list[Face]:
    """Occluded and truncated faces that are not surely among those `seen`, by the other detector, whose
    word is enough to begin a track: its confidence is on another scale."""
    sure = [face for face in seen if face.confidence >= SURE]
    others = anonymizer.detector.hidden(photo, sure)
    return [replace(face, confidence=max(face.confidence, SURE)) for face in others]


@torch.no_grad()
def embedding(anonymizer: Anonymizer, photo: Photo, face: Face) -> np.ndarray:
    """The recogniser's embedding `(dim,)`; NaN where too little of the face is inside the frame."""
    try:
        image = align(photo, face, LOOK_SIZE).to(anonymizer.device)
    except NoFaceFound:
        return np.full(anonymizer.recognizer.dim, np.nan, np.float32)
    return anonymizer.recognizer.embed(image)[0].cpu().numpy()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The brightness `(18, 32)` of a whole frame, 0–255."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize(THUMBNAIL, Image.Resampling.BOX), np.float32)
