"""Find every face in a photo: small, turned, lying and cut off by the edge.

The detector is MTCNN (Zhang et al. 2016) from facenet-pytorch, which knows upright faces. So the photo
is looked at more than once: as a whole, large photos once more with their small faces large enough,
turned by the three right angles, and by half of one. A face that is not upright is looked at once more
from near, upright: of 14 faces turned by 45°, MTCNN's points were off by .10 eye distances before (and
two were not found), .03 after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ..errors import NoFaceFound
from ..images import to_uint8
from .faces import Face, align
from .photos import Photo

DETECT_SIDE = 1280  # longer photos are scaled down to this, shorter ones up by at most …
ENLARGED = 2.0  # … this
FINE_SIDE = 3400  # longest side of the second look, for the small faces of large photos
TURNED_SIDE = 640  # the same of the looks at the turned photo
MIN_FACE = 20  # pixels, in the photo as looked at
MIN_CONFIDENCE = 0.9
SURE = 0.98  # confidence of a face that is found in the turned photo only …
SURE_AT_EDGE = 0.95  # … and of one that is found with the mirror image only
SURER = 0.005  # of two looks at one face: by how much the later one must be
SAME = 0.3  # intersection over union, or …
WITHIN = 0.6  # … share of the smaller box, that makes two boxes one face
EDGE = 0.15  # of the shorter side: what of the mirror image is seen around the photo
VISIBLE = 0.28  # share of a face's box that must lie in the frame
CLOSE_SIDE = 256  # of the aligned square in which a known face is looked for again
ROLLED = 15.0  # degrees from which on a face is looked at once more, upright
SLANTS = (-45, 45)  # degrees
TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


class Detector:
    """MTCNN on photos of any size. Weights come with facenet-pytorch.

    `thorough` looks at turned photos and for small faces too; without it a photo is looked at once,
    which is enough for portraits.
    """

    def __init__(self, device: torch.device | str = "cpu", thorough: bool = True):
        from facenet_pytorch import MTCNN

        from ..weights import store

        for key in ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"):
            store.locate(key)
        self.mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE, device=device)
        # Pooling goes through three channels at once then, which is a fifth of the time on a CPU.
        self.mtcnn.to(memory_format=torch.channels_last)
        self.thorough = thorough

    def __call__(self, photo: Photo) -> list[Face]:
        """Every face, largest first. Raises `NoFaceFound` when there is none."""
        return self._faces(photo, self.thorough)

    def once(self, photo: Photo) -> list[Face]:
        """The same by one look at the whole photo, whether `thorough` or not: for portraits."""
        return self._faces(photo, False)

    def _faces(self, photo: Photo, thorough: bool) -> list[Face]:
        image = Image.fromarray(photo.pixels)
        longest = max(photo.size)
        faces = [
            face
            for face in self._look(image, min(ENLARGED if thorough else 1.0, DETECT_SIDE / longest))
            # what is tiny even in the photo is seldom a face
            if face.area >= MIN_FACE**2 or face.confidence >= SURE
        ]
        if thorough:
            if longest > 1.2 * DETECT_SIDE:
                faces = merged([faces, self._look(image, min(1.0, FINE_SIDE / longest))])
            faces = [self.nearer(photo, face) if face.roll > ROLLED else face for face in faces]
            scale = min(1.0, TURNED_SIDE / longest)
            small = _scaled(image, scale)
            faces = merged([faces, self._beyond_the_edges(small, scale)])
            faces = merged([faces, *self._in_turned(photo, small, scale, faces)])
        if not faces:
            raise NoFaceFound(f"{photo.name} shows no face that can be found; use a photo with a face")
        return sorted(faces, key=lambda face: -face.area)

    def again(self, photo: Photo, face: Face) -> Face | None:
        """A known `face` looked for again where it was, however small or turned it is; None if there is
        no face any more.

        What is looked at is its aligned square, in which every face is upright and large.
        """
        square = Image.fromarray(to_uint8(align(photo, face, CLOSE_SIDE)))
        matrix = face.to_photo(CLOSE_SIDE)
        best, most = None, SAME
        before = _moved(face, np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2])
        for found in self._look(square, 1.0):
            shared = overlap(found, before)
            if shared >= most:
                best, most = found, shared
        return _moved(best, matrix) if best else None

    def turned(self, photo: Photo) -> list[Face]:
        """Faces that looks at the turned photo show: those that are not upright, and others."""
        scale = min(1.0, TURNED_SIDE / max(photo.size))
        return merged([*self._in_turned(photo, _scaled(Image.fromarray(photo.pixels), scale), scale)])

    def _in_turned(
        self, photo: Photo, small: Image.Image, scale: float, known: Sequence[Face] = ()
    ) -> Iterator[list[Face]]:
        """Those of each turned look at `small`, which is the photo at `scale`; without those that are
        `known` so surely that no look could be surer."""
        sure = [face for face in known if face.confidence > 1 - SURER]
        for turned, back in _turned(small):
            seen = (_moved(face, back / scale) for face in self._look(turned, 1.0, SURE))
            new = (face for face in seen if not any(_same(face, one) for one in sure))
            yield [self.nearer(photo, face) for face in new]

    def nearer(self, photo: Photo, face: Face) -> Face:
        """A face with more exact points, if it can be looked at from near.

        It is looked at twice where the first look was not upright yet.
        """
        for _ in range(2):
            try:
                nearer = self.again(photo, face) or face
            except NoFaceFound:
                return face  # cut off by the frame
            face, before = nearer, face
            if abs(face.roll - before.roll) < ROLLED:
                break
        return face

    def _beyond_the_edges(self, image: Image.Image, scale: float) -> list[Face]:
        """Faces that the frame cuts off, found in `image` with its mirror image around it."""
        pad = round(EDGE * min(image.size))
        padded = np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), "symmetric")
        back = np.column_stack([np.eye(2), [-pad, -pad]]) / scale
        size = np.array(image.size) / scale
        found = []
        for face in (
            _moved(one, back) for one in self._look(Image.fromarray(padded), 1.0, SURE_AT_EDGE)
        ):
            corners = np.array(face.box).reshape(2, 2).clip(0, size)
            if np.prod(corners[1] - corners[0]) > VISIBLE * face.area:  # else it is the image itself
                found.append(face)
        return found

    def _look(self, image: Image.Image, scale: float, confidence: float = MIN_CONFIDENCE) -> list[Face]:
        """Upright faces of `image` as it is when scaled; their places are those of `image`."""
        seen = _scaled(image, scale)
        try:
            boxes, confidences, points = self.mtcnn.detect(seen, landmarks=True)
        except (ValueError, RuntimeError, IndexError):
            return []  # MTCNN's image pyramid fails on very narrow pictures
        if boxes is None:
            return []
        ratio = np.array(image.size) / np.array(seen.size)
        faces = []
        for box, sure, point in zip(boxes, map(float, confidences), points, strict=True):
            if sure >= confidence:
                corners = tuple((box.reshape(2, 2) * ratio).flatten().tolist())
                faces.append(Face(corners, (point * ratio).astype(float), sure))
        return faces


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two faces' boxes."""
    shared = _shared_area(a, b)
    return shared / (a.area + b.area - shared)


def merged(looks: Sequence[Sequence[Face]]) -> list[Face]:
    """Faces of several looks, each once: that of the earlier look, unless a later one is surer (a lying
    face may be seen in the upright photo, with its points in the wrong places)."""
    kept: list[Face] = []
    for look in looks:
        for face in look:
            rivals = [other for other in kept if _same(face, other)]
            if any(face.confidence < other.confidence + SURER for other in rivals):
                continue
            kept = [other for other in kept if other not in rivals] + [face]
    return kept


def _same(a: Face, b: Face) -> bool:
    return overlap(a, b) > SAME or _shared_area(a, b) > WITHIN * min(a.area, b.area)


def _shared_area(a: Face, b: Face) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    return max(0.0, width) * max(0.0, height)


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale > 1:
        return image.resize(size, Image.Resampling.BICUBIC)
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2)


def _turned(image: Image.Image) -> Iterator[tuple[Image.Image, np.ndarray]]:
    """The picture turned, and the `(2, 3)` matrix from a point of that to one of the upright picture."""
    width, height = image.size
    for turn in TURNS:
        linear, shift = {
            Image.Transpose.ROTATE_90: ([[0, -1], [1, 0]], [width, 0]),
            Image.Transpose.ROTATE_180: ([[-1, 0], [0, -1]], [width, height]),
            Image.Transpose.ROTATE_270: ([[0, 1], [-1, 0]], [0, height]),
        }[turn]
        yield image.transpose(turn), np.column_stack([linear, shift])
    for angle in SLANTS:
        turned = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        along, across = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        linear = np.array([[along, -across], [across, along]])
        shift = np.array(image.size) / 2 - linear @ (np.array(turned.size) / 2)
        yield turned, np.column_stack([linear, shift])


def _moved(face: Face, matrix: np.ndarray) -> Face:
    """A face under the affine `matrix (2, 3)`.

    Its box is that of the moved ellipse in the old one, which does not grow when it turns.
    """
    first, last = np.array(face.box).reshape(2, 2)
    middle = (first + last) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.hypot(*(matrix[:, :2] * (last - first) / 2).T)
    box = tuple(np.concatenate([middle - half, middle + half]).tolist())
    return replace(face, box=box, points=face.points @ matrix[:, :2].T + matrix[:, 2])
