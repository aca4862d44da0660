"""Find small, occluded, cut-off and rolled faces, in one pass of a small network: CenterFace.

Xu, Yan, Yang, Zhu 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point"
(arXiv 1911.03599); the weights ship in `data/`. The network names, for every fourth pixel of
a picture, how surely it is the middle of a face, how large that face is, and where its five points are.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..openvino_runtime import Networks, import_openvino
from ..weights import store
from .boxes import SAME, merged, moved, overlap
from .faces import Face
from .photos import STRIP

TURNED_SIDE = 640  # longest side, in pixels, of the looks at the photo and at the turned photo, …
WHOLE_SIDE = 960  # … of another look at photos that are larger, …
FINE_SIDE = 3400  # … and of one for the small faces of large photos, in which still larger photos …
FINE_SCALE = 0.6  # … have this scale at least: a face of 32 pixels has 19, whatever the photo's size
COARSER = 4.0  # between two looks at most: a face larger than what parts share has 32 pixels in the next
LARGER = 1.5  # how much larger than a look a photo is that is looked at once more
EDGE = 0.15  # of the shorter side: what of the mirror image is seen around the photo
VISIBLE = 0.28  # share of a face's box that must lie in the frame
STRIDE = 4  # pixels of the picture for one of the network's answers
MULTIPLE = 32  # both sides of what the network looks at are multiples of this
TILE = 960  # pixels: larger pictures are looked at in parts, so that memory does not grow with them …
SHARED = 128  # … which overlap by so much; what ends so near to where a part does …
BORDER = 16  # … is half a face, and left to another part
NEAR = (128, 96)  # pixels: sides of the squares, twice a face, in which it is looked at from near …
LEAST = 0.05  # … from this confidence on
Picture = Image.Image | np.ndarray  # (H, W, 3) uint8
# Counterclockwise by 0, 90, 180 and 270 degrees: how, and back from a point of that picture, whose
# shift is in widths and heights.
TURNS = (
    (None, [[1, 0], [0, 1]], (0, 0)),
    (Image.Transpose.ROTATE_90, [[0, -1], [1, 0]], (1, 0)),
    (Image.Transpose.ROTATE_180, [[-1, 0], [0, -1]], (1, 1)),
    (Image.Transpose.ROTATE_270, [[0, 1], [-1, 0]], (0, 1)),
)


class CenterFace:
    """Find faces from about 18 pixels, upright or rolled. May be called from several threads.

    Raises `WeightsMissing` without its file.
    """

    def __init__(self) -> None:
        path = store.locate("centerface")
        self.networks = Networks(lambda _: _for_any_size(str(path)))

    def __call__(self, image: Picture, confidence: float, fine: bool = True) -> list[Face]:
        """Find the faces in an RGB picture, each once, from a `confidence` (0–1) on.

        Without `fine`, large pictures are looked at scaled down only.
        """
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        small = scaled(pixels, min(1.0, TURNED_SIDE / max(width, height)))
        ratio = np.array([width, height]) / small.size
        looks = []
        for turn, linear, shift in TURNS:
            turned = small.transpose(turn) if turn is not None else small
            back = np.column_stack([linear, np.multiply(shift, small.size)]) * ratio[:, None]
            looks.append([moved(face, back) for face in self._in_parts(turned, confidence)])
        sides = [TURNED_SIDE, *_sides(max(width, height))] if fine else []
        for before, side in pairwise(sides):
            if max(width, height) > LARGER * before:
                looks.append(self.once(pixels, confidence, side))
        at_edges = self._beyond_the_edges(small, confidence)
        return merged([*looks, [moved(face, _zoom(ratio)) for face in at_edges]])

    def once(self, image: Picture, confidence: float, side: float = TURNED_SIDE) -> list[Face]:
        """Find faces by one look at the picture upright, scaled down to at most `side` pixels."""
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        small = scaled(pixels, min(1.0, side / max(width, height)))
        back = _zoom(np.array([width, height]) / small.size)
        return [moved(face, back) for face in self._in_parts(small, confidence)]

    def near(self, image: Picture, face: Face) -> Face:
        """Look again at a `face`, from near: upright and turned, in two sizes, with the picture's mirror
        image beyond its frame. Returns what is seen there most surely, or `face` with confidence 0."""
        pixels, best = np.asarray(image), replace(face, confidence=0.0)
        first, last = np.array(face.box).reshape(2, 2)
        half, middle = (last - first).max(), (first + last) / 2  # a square twice as large as the face
        corner, end = np.floor(middle - half).astype(int), np.ceil(middle + half).astype(int)
        inside = np.clip([corner, end], 0, pixels.shape[1::-1])
        if (inside[1] <= inside[0]).any():
            return best
        part = pixels[inside[0, 1] : inside[1, 1], inside[0, 0] : inside[1, 0]]
        views, places = Image.new("RGB", (len(TURNS) * NEAR[0], sum(NEAR))), []
        for row, side in enumerate(NEAR):
            scale = side / (end - corner)[0]
            seen_part = np.asarray(scaled(part, scale))
            before = np.rint((inside[0] - corner) * scale).astype(int).clip(0, side - 1)
            after = (side - before - seen_part.shape[1::-1]).clip(0)
            beside = (*zip(before[::-1], after[::-1], strict=True), (0, 0))
            square = Image.fromarray(np.pad(seen_part, beside, "symmetric")[:side, :side])
            for column, (turn, linear, shift) in enumerate(TURNS):
                at = np.array([column * side, row * NEAR[0]])
                views.paste(square.transpose(turn) if turn is not None else square, tuple(at.tolist()))
                linear = np.array(linear) / scale
                back = linear @ -at + np.multiply(shift, side) / scale + corner
                box = np.concatenate([at + side / 4, at + 3 * side / 4])
                expected = Face(tuple(box.tolist()), face.points, 1.0)
                places.append((expected, np.column_stack([linear, back])))
        for seen in self._detect(views, LEAST):
            for expected, back in places:
                if seen.confidence > best.confidence and overlap(seen, expected) > SAME:
                    best = moved(seen, back)
        return best

    def _beyond_the_edges(self, image: Image.Image, confidence: float) -> list[Face]:
        """Find faces that the frame cuts off, with the picture's mirror image around it."""
        pad = round(EDGE * min(image.size))
        padded = np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), "symmetric")
        back, faces = np.array([[1.0, 0.0, -pad], [0.0, 1.0, -pad]]), []
        for face in (moved(face, back) for face in self._in_parts(Image.fromarray(padded), confidence)):
            inside = np.array(face.box).reshape(2, 2).clip(0, image.size)
            if np.prod(inside[1] - inside[0]) > VISIBLE * face.area:  # else it is the mirror image
                faces.append(face)
        return faces

    def _in_parts(self, image: Image.Image, confidence: float) -> list[Face]:
        """Find the faces in the picture as it is, each once, the surest first."""
        faces = []
        for top, left in product(_starts(image.height), _starts(image.width)):
            right, bottom = min(left + TILE, image.width), min(top + TILE, image.height)
            inner = np.array([left > 0, top > 0, right < image.width, bottom < image.height])
            edges = np.array([left, top, right, bottom])
            for face in self._detect(image.crop((left, top, right, bottom)), confidence):
                face = moved(face, np.array([[1.0, 0.0, left], [0.0, 1.0, top]]))
                beyond = (np.array(face.box) - edges) * (-1, -1, 1, 1) > -BORDER
                if not (beyond & inner).any():
                    faces.append(face)
        return merged([sorted(faces, key=lambda face: -face.confidence)])

    def _detect(self, image: Image.Image, confidence: float) -> list[Face]:
        """Return the network's answers for a picture of at most `TILE` pixels a side, where its
        certainty is greatest: perhaps several for a face."""
        pixels = np.asarray(image, np.float32)
        beyond = [(0, -side % MULTIPLE) for side in pixels.shape[:2]]
        pixels = np.pad(pixels, (*beyond, (0, 0))).transpose(2, 0, 1)[None]
        with self.networks.acquire(0) as network:
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


def scaled(image: Picture, scale: float) -> Image.Image:
    """Scale an RGB picture; a large one in strips, so that no second copy of it is in memory."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale >= 1:
        whole = Image.fromarray(pixels)
        return whole if scale == 1 else whole.resize(size, Image.Resampling.BICUBIC)
    small, step, rows = Image.new("RGB", size), height / size[1], math.ceil(STRIP * scale)
    for top in range(0, size[1], rows):
        bottom = min(top + rows, size[1])
        first, last = math.floor(top * step), min(height, math.ceil(bottom * step))
        box = (0, top * step - first, width, min(bottom * step, last) - first)
        strip = Image.fromarray(pixels[first:last])
        strip = strip.resize((size[0], bottom - top), Image.Resampling.BOX, box=box)
        small.paste(strip, (0, top))
    return small


def _sides(longest: int) -> list[float]:
    """Choose the longest sides of the finer looks at a photo, the coarsest first."""
    finest = max(FINE_SIDE, FINE_SCALE * longest)
    steps = math.ceil(math.log(finest / WHOLE_SIDE, COARSER))
    return np.geomspace(WHOLE_SIDE, finest, steps + 1).tolist()


def _zoom(ratio: np.ndarray) -> np.ndarray:
    """Build the `(2, 3)` matrix that scales by `ratio (2,)`."""
    return np.diag([*ratio, 0.0])[:2]


def _for_any_size(path: str) -> Any:
    """Read the network as an `openvino.Model` for any size; in its file it is for one."""
    model = import_openvino().Core().read_model(path)
    model.reshape({model.inputs[0]: [1, 3, -1, -1]})
    return model


def _starts(side: int) -> list[int]:
    """Choose where the parts that cover a side begin."""
    count = max(1, -(-(side - SHARED) // (TILE - SHARED)))
    return np.linspace(0, max(0, side - TILE), count).round().astype(int).tolist()
