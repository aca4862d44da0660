"""Faces of a clip that are not upright: they slant, or somebody lies.

The detector knows upright faces, and looking at a turned frame costs as much as five other frames. So
one frame in `TURNED_EVERY` is looked at that way; a face that was found so, or that was seen to slant,
is then looked for again from near, in its own upright square, in the frames after and before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ..errors import NoFaceFound
from ..photo.boxes import SAME, merged, overlap
from ..photo.detection import ROLLED, Detector
from ..photo.faces import Face
from ..photo.photos import Photo

TURNED_EVERY = 12  # frames, half a second

Found = tuple[int, Photo, Face]  # number of the frame, its picture, and a face in it


class Slanted:
    """Follows the slanting faces of consecutive frames."""

    def __init__(self, detector: Detector):
        self.detector = detector
        self.last: list[Face] = []  # those of the frame before
        self.recent: deque[tuple[int, Photo, list[Face]]] = deque(maxlen=TURNED_EVERY)

    def __call__(self, number: int, photo: Photo, upright: Sequence[Face]) -> list[Found]:
        """All faces of the frame `number`, of which `upright` are known, and those of earlier frames
        that only this one gives away."""
        faces = [self.detector.nearer(photo, one) if one.roll > ROLLED else one for one in upright]
        faces = merged([faces, self._again(photo, self.last)])
        earlier: list[Found] = []
        if number % TURNED_EVERY == 0 or not self.recent:
            turned = [one for one in self.detector.turned(photo) if one.roll > ROLLED]
            both = merged([faces, turned])
            earlier = self._before([one for one in both if _among(one, turned)])
            faces = both
        self.last = [one for one in faces if one.roll > ROLLED]
        self.recent.append((number, photo, faces))
        return earlier + [(number, photo, face) for face in faces]

    def _before(self, faces: list[Face]) -> list[Found]:
        """These faces in the frames before, back to where they are known or no longer found."""
        found: list[Found] = []
        for number, photo, known in reversed(self.recent):
            faces = [one for one in self._again(photo, faces) if not _among(one, known)]
            known.extend(faces)
            found += [(number, photo, face) for face in faces]
        return found[::-1]

    def _again(self, photo: Photo, faces: Iterable[Face]) -> list[Face]:
        """Those of `faces` that are still there."""
        seen = []
        for face in faces:
            try:
                seen.append(self.detector.again(photo, face))
            except NoFaceFound:  # it has left the frame
                continue
        return [face for face in seen if face is not None]


def _among(face: Face, others: Iterable[Face]) -> bool:
    return any(overlap(face, other) > SAME for other in others)
