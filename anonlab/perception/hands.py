"""Hands before a face, which stay the photo's: MediaPipe's palms and joints, and what lies around them.

Zhang et al. 2020, "MediaPipe Hands: On-device Real-time Hand Tracking" (arXiv 2006.10214); both networks
ship in `data/`. The first names palms in a picture, the second 21 joints of the hand that a palm belongs
to. Neither says which pixels the hand is of: fingers, palm and wrist are drawn around the joints, and
their outline moves to the nearest edge in the picture (watershed).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import distance_transform_edt, sobel
from skimage.draw import polygon2mask
from skimage.segmentation import watershed

from ..errors import NoFaceFound
from ..images import FACE_SIZE, blurred, to_uint8
from ..openvino_runtime import Networks, import_openvino
from ..photo.faces import Face, align
from ..photo.photos import Photo
from ..weights import store

VIEW, AROUND = 448, 1.75  # side in pixels of what is looked at, and that in sides of the aligned square
BORDER = (VIEW - FACE_SIZE) // 2  # of it around the aligned square, which has FACE_SIZE pixels
PALM_SIDE, JOINTS_SIDE = 192, 224  # pixels that the networks see
# Least certainties: of 741 photos 18 show a hand before a face, and none a wrong one
PALM, HAND = 0.5, 0.6
LEAST = 0.2  # width of a palm over the aligned square's side; what is smaller is far behind
WHOLE, BEYOND = 2.6, 0.5  # a hand's square over its palm's, and its middle, in palms towards the fingers
CELLS = ((24, 2), (12, 6))  # a side of the palms' network, and anchors in each
FINGERS = ((0, 1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
HULL = (0, 1, 5, 9, 13, 17)  # joints around the palm
# The shape of a hand in centimetres: the palm's width and length, and half the widths of fingers, thumb,
# the thumb's root, the palm's rim and wrist.
WIDTH, LENGTH = 6.0, 9.0
FINGER, THUMB, ROOT, RIM, WRIST = 0.9, 1.1, 1.65, 0.9, 2.6
INSIDE, OUTSIDE = (
    0.55,
    1.45,
)  # half widths: surely of the hand up to here, not from there on
SOFT = 1.0  # Gaussian of the outline, in pixels


class Palm(NamedTuple):
    """A palm in a view: its `middle (2,)` and `side` in pixels, and the way `up (2,)` to the fingers."""

    middle: np.ndarray
    side: float
    up: np.ndarray


class Hands:
    """Find hands before faces. May be called from several threads. Raises `WeightsMissing` or
    `WeightsCorrupt` when it is first called."""

    def __init__(self) -> None:
        self.palms, self.joints = (
            Networks(partial(_network, key)) for key in ("palm-detection", "hand-landmarks")
        )

    def __call__(self, photo: Photo, face: Face) -> torch.Tensor | None:
        """Find hands before or beside a face: `(1, 1, 256, 256)` of its aligned square, 1 where a hand
        is, soft at its edge; None without any."""
        centre = face.to_photo(1) @ (0.5, 0.5, 1)
        wide = replace(face, points=centre + AROUND * (face.points - centre))
        try:
            palms = self._palms(to_uint8(align(photo, wide, PALM_SIDE)))
        except NoFaceFound:  # too near to the frame to look around
            return None
        if not palms:
            return None
        view = Image.fromarray(to_uint8(align(photo, wide, VIEW)))
        inside = slice(BORDER, BORDER + FACE_SIZE)
        grey = np.asarray(view.convert("L"), float)[inside, inside]
        hands = [joints for palm in palms if (joints := self._joints(view, palm)) is not None]
        shape = np.any([hand_shape(joints - BORDER, grey) for joints in hands], 0)
        return blurred(torch.from_numpy(shape).float()[None, None], SOFT) if hands else None

    def _palms(self, pixels: np.ndarray) -> list[Palm]:
        """Name the palms in a small view, the surest of those that overlap."""
        with self.palms.acquire(0) as network:
            answers = network([_seen(pixels)])
            places, logits = answers[0][0].copy(), answers[1][0, :, 0].copy()
        found: list[Palm] = []
        for at in np.argsort(-logits):
            if logits[at] < math.log(PALM / (1 - PALM)):
                break
            middle, sides, *points = places[at].reshape(-1, 2) * (VIEW / PALM_SIDE)
            side, middle = sides.max(), middle + anchors(CELLS)[at] * VIEW
            up = points[2] - points[0]  # from the wrist to the middle finger
            near = any(np.hypot(*(middle - one.middle)) < max(side, one.side) / 2 for one in found)
            if not near and side >= LEAST * FACE_SIZE and up.any():
                found.append(Palm(middle, float(side), up / np.hypot(*up)))
        return found

    def _joints(self, view: Image.Image, palm: Palm) -> np.ndarray | None:
        """Find the joints `(21, 2)` of a palm's hand in pixels of the view; None where it is no hand."""
        step, down = WHOLE * palm.side / JOINTS_SIDE, -palm.up
        across = np.array([-palm.up[1], palm.up[0]])
        linear = np.stack([across, down], 1) * step
        shift = palm.middle + BEYOND * palm.side * palm.up - linear.sum(1) * JOINTS_SIDE / 2
        matrix = np.concatenate([linear, shift[:, None]], 1).flatten().tolist()
        size, how = (JOINTS_SIDE, JOINTS_SIDE), Image.Transform.AFFINE
        hand = view.transform(size, how, matrix, Image.Resampling.BILINEAR)
        with self.joints.acquire(0) as network:
            answers = network([_seen(np.asarray(hand))])
            joints, sure = answers[0].reshape(21, 3)[:, :2].copy(), answers[1].item()
        return joints @ linear.T + shift if sure >= HAND else None


def _network(key: str, _: int) -> Any:
    """Read a network; what enlarges pictures in it by products of matrices, because OpenVINO's own way
    (2026.4) needs AVX."""
    ov = import_openvino()
    ops, model = ov.opset13, ov.Core().read_model(store.locate(key))
    for one in model.get_ordered_ops():
        if one.get_type_name() == "Interpolate":  # of (1, side, side, C), bilinear
            new, old = (node.get_shape()[1] for node in (one.output(0), one.input_value(0)))
            columns = F.interpolate(torch.eye(old)[None], size=new, mode="linear")[0].T.numpy()
            planes = ops.transpose(one.input_value(0), [0, 3, 1, 2])
            larger = ops.matmul(ops.matmul(columns, planes, False, False), columns, False, True)
            one.output(0).replace(ops.transpose(larger, [0, 2, 3, 1]).output(0))
    return model


def hand_shape(joints: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Draw the hand around `joints (21, 2)` in the brightness `grey (S, S)`: booleans `(S, S)`."""
    unit = max(
        np.hypot(*(joints[5] - joints[17])) / WIDTH, np.hypot(*(joints[0] - joints[9])) / LENGTH, 1e-3
    )
    bones = [(joints[0], joints[0] + 0.7 * (joints[0] - joints[9]), WRIST)]
    for finger in FINGERS:
        for a, b in pairwise(finger):
            width = ROOT if a == 0 else THUMB if finger[0] == 0 else FINGER
            bones.append((joints[a], joints[b], width))
    at = np.stack(np.meshgrid(*(np.arange(side) for side in grey.shape[::-1])), -1)
    away = [_distance(at, a, b) / (width * unit) for a, b, width in bones]
    palm = polygon2mask(grey.shape, joints[HULL, ::-1])
    if palm.any():
        away.append(distance_transform_edt(~palm) / (RIM * unit))
    nearest = np.min(away, 0)
    known = np.where(nearest < INSIDE, 1, np.where(nearest > OUTSIDE, 2, 0))
    return watershed(np.hypot(sobel(grey, 0), sobel(grey, 1)), known) == 1


def _distance(at: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the distance of points `at (..., 2)` from the line between `a` and `b`."""
    along = ((at - a) @ (b - a) / max((b - a) @ (b - a), 1e-6)).clip(0, 1)
    return np.hypot(*np.moveaxis(at - a - along[..., None] * (b - a), -1, 0))


@cache
def anchors(grids: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Place the anchors of a single-shot detector in shares of the side, `(A, 2)`: for each grid, given
    as its cells a side and the anchors in each, row by row."""
    rows = []
    for cells, count in grids:
        y, x = (np.mgrid[:cells, :cells] + 0.5) / cells
        rows.append(np.stack([x, y], -1).reshape(-1, 2).repeat(count, 0))
    return np.concatenate(rows)


def _seen(pixels: np.ndarray) -> np.ndarray:
    """Scale pixels `(S, S, 3)` uint8 to what the networks see: `(1, S, S, 3)` in [0, 1]."""
    return pixels[None].astype(np.float32) / 255
