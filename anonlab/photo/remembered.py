"""Faces that were found once are remembered, for work that goes through the same photos twice."""

from __future__ import annotations

import hashlib

from ..errors import NoFaceFound
from .detection import Detector
from .faces import Face
from .photos import Photo


class RememberingDetector:
    """A detector that looks at each photo once, however often it is asked.

    It keeps boxes and points, and knows a photo by the hash of its pixels.
    """

    def __init__(self, detector: Detector):
        self.detector = detector
        self.faces: dict[bytes, list[Face]] = {}

    def __call__(self, photo: Photo) -> list[Face]:
        """Every face, largest first. Raises `NoFaceFound` when there is none."""
        name = hashlib.sha256(str(photo.size).encode() + photo.pixels.tobytes()).digest()
        if name not in self.faces:
            try:
                self.faces[name] = self.detector(photo)
            except NoFaceFound:
                self.faces[name] = []
        if not self.faces[name]:
            raise NoFaceFound(f"{photo.name} shows no face that can be found; use a photo with a face")
        return list(self.faces[name])

    def once(self, photo: Photo) -> list[Face]:
        """By one look at the whole photo; not remembered."""
        return self.detector.once(photo)

    def again(self, photo: Photo, face: Face) -> Face | None:
        """A known face in a changed photo; not remembered."""
        return self.detector.again(photo, face)
