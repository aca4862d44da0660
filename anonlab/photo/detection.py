"""Find every face in a photo: small, rolled, occluded and truncated ones, in photos of any size.

CenterFace looks at all of a photo, upright and turned, and names what may be a face. MTCNN (Zhang et al.
2016, from facenet-pytorch), an independent detector with the more exact points, looks at each of these
from near, in its upright square: what both see is a face. Of the others CenterFace is asked a second
time, from near, too. What is left of doubt is in a face's confidence.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import NoFaceFound
from ..images import to_uint8
from ..openvino_runtime import Networks, import_openvino
from ..weights import store
from .boxes import SAME, merged, moved, overlap
from .centerface import CenterFace, Picture, scaled
from .faces import Face, align
from .photos import Photo

LONGEST = 1280  # of a photo of which MTCNN sees all; larger ones are scaled down
MIN_FACE = 20  # pixels, in the photo, of a face that is no longer tiny; of MTCNN in what it looks at
LEAST_FACE = 12  # pixels, in the photo, below which nothing is looked at from near
MIN_CONFIDENCE = 0.9  # of MTCNN
SURE = 0.98  # … in a face that is tiny, or of which CenterFace is not sure
NONE = 0.2  # confidence of CenterFace below which nothing is a face
CONFIRMED = 0.4  # … from which on it and MTCNN, even if not `SURE`, see one
LIKELY = 0.45  # mean of CenterFace's two looks from which on it is a face, …
SEEN = 0.3  # … if MTCNN sees it from near, too
DOUBTFUL = 0.6  # confidence below which it may be no face
CLOSE_SIDE = 256  # of the aligned square in which a face is looked at from near, …
CLOSE_FACE = 60  # … and the least face that is one there: it is about 115 pixels wide
ROLLED = 15.0  # degrees from which on a face is looked at once more, upright


class Detector:
    """MTCNN and CenterFace on photos of any size. Weights come with facenet-pytorch and anonlab."""

    def __init__(self, device: torch.device | str = "cpu"):
        for key in ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"):
            store.locate(key)
        self.mtcnn = _import_mtcnn()(keep_all=True, min_face_size=MIN_FACE, device=device)
        for stage in (self.mtcnn.rnet, self.mtcnn.onet):
            stage.to(memory_format=torch.channels_last)  # a CPU pools so in a fifth of the time
        if torch.device(device).type == "cpu":
            self.mtcnn.pnet = FirstStage(self.mtcnn.pnet)
        self.close = copy.copy(self.mtcnn)  # the same networks
        self.close.min_face_size = CLOSE_FACE
        self.centerface = CenterFace()

    def __call__(self, photo: Photo) -> list[Face]:
        """Find every face, largest first. Raises `NoFaceFound` when there is none."""
        return _largest_first(photo, self._from_near(photo, self.centerface(photo.pixels, NONE)))

    def once(self, photo: Photo) -> list[Face]:
        """Find faces by one look of MTCNN at the whole photo, which is enough for portraits."""
        faces = self.by_mtcnn(photo.pixels, min(1.0, LONGEST / max(photo.size)))
        return _largest_first(photo, [one for one in faces if one.confidence >= SURE or _large(one)])

    def again(self, photo: Photo, face: Face) -> Face | None:
        """Look for a known `face` again where it was, however small or turned it is; None if there is
        no face any more.

        What is looked at is its aligned square, in which every face is upright and large.
        """
        square = to_uint8(align(photo, face, CLOSE_SIDE, cut=True))
        matrix = face.to_photo(CLOSE_SIDE)
        before = moved(face, np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2])
        found = _detected(self.close, square, 1.0, MIN_CONFIDENCE)
        best = max(found, key=lambda one: overlap(one, before), default=None)
        return moved(best, matrix) if best and overlap(best, before) >= SAME else None

    def turned(self, photo: Photo) -> list[Face]:
        """Find what CenterFace sees in a photo, scaled down, upright and turned; with exact points."""
        return self._from_near(photo, self.centerface(photo.pixels, CONFIRMED, fine=False))

    def upright(self, photo: Photo, side: float) -> list[Face]:
        """Find what CenterFace sees in one look at a photo, scaled down to at most `side` pixels."""
        return self._from_near(photo, self.centerface.once(photo.pixels, NONE, side))

    def rest(self) -> None:
        """Give memory back that only the next look needs."""
        self.centerface.networks.clear()

    def _from_near(self, photo: Photo, faces: Iterable[Face]) -> list[Face]:
        """Look from near at CenterFace's `faces`; return those that MTCNN or a second look confirms, by
        MTCNN's points where it sees them."""
        confirmed = []
        for face in faces:
            if face.area < LEAST_FACE**2:
                continue
            nearer, large = self.nearer(photo, face), _large(face)
            sure = nearer.confidence >= SURE or (large and face.confidence >= CONFIRMED)
            if nearer is not face and sure:
                confirmed.append(nearer)
            elif large:
                second = self.centerface.near(photo.pixels, face)
                mean = (face.confidence + second.confidence) / 2
                nearer = self.nearer(photo, second) if mean >= SEEN else second
                if nearer is not second:
                    confirmed.append(nearer)
                elif mean >= LIKELY:
                    confirmed.append(replace(second, confidence=mean))
        return merged([confirmed])

    def nearer(self, photo: Photo, face: Face) -> Face:
        """Give a face MTCNN's points and confidence if it sees it from near; else return `face` itself.

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

    def by_mtcnn(self, image: Picture, scale: float, confidence: float = MIN_CONFIDENCE) -> list[Face]:
        """Find faces in `image` by MTCNN in a scaled copy, from a `confidence` on."""
        return _detected(self.mtcnn, image, scale, confidence)


def _large(face: Face) -> bool:
    """Tell whether a face is large enough for MTCNN to be trusted as usual."""
    return face.area >= MIN_FACE**2


def _largest_first(photo: Photo, faces: list[Face]) -> list[Face]:
    if not faces:
        raise NoFaceFound(f"{photo.name} shows no face that can be found; use a photo with a face")
    return sorted(faces, key=lambda face: -face.area)


def _detected(mtcnn: Any, image: Picture, scale: float, confidence: float) -> list[Face]:
    pixels = np.asarray(image)
    seen = scaled(pixels, scale)
    try:
        boxes, confidences, points = mtcnn.detect(seen, landmarks=True)
    except (ValueError, RuntimeError, IndexError):
        return []  # MTCNN's image pyramid fails on very narrow pictures
    if boxes is None:
        return []
    ratio = np.array(pixels.shape[1::-1]) / np.array(seen.size)
    faces = []
    for box, sure, point in zip(boxes, map(float, confidences), points, strict=True):
        if sure >= confidence:
            corners = tuple((box.reshape(2, 2) * ratio).flatten().tolist())
            faces.append(Face(corners, (point * ratio).astype(float), sure))
    return faces


def _import_mtcnn() -> Any:
    """Import the class without `torch._dynamo`, a third of the time in which anonlab starts: torchvision
    takes it along for one question that MTCNN does not ask, and which is answered when it is asked."""
    later: Any = ModuleType("torch._dynamo.utils")
    later.is_compile_supported = lambda device: import_module(later.__name__).is_compile_supported(
        device
    )
    added = [later, ModuleType("torch._dynamo")] if "torch._dynamo" not in sys.modules else []
    sys.modules.update({one.__name__: one for one in added})
    try:
        return import_module("facenet_pytorch").MTCNN
    finally:
        for one in added:
            del sys.modules[one.__name__]


class FirstStage(nn.Module):
    """MTCNN's first stage, which looks at all of a picture in many sizes, by OpenVINO: the same answers
    in half the time."""

    def __init__(self, pnet: nn.Module):
        super().__init__()
        self.pnet, self.networks = pnet, Networks(lambda _: _first_stage(pnet))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map pictures `(N, 3, H, W)` to regressions `(N, 4, h, w)` and chances `(N, 2, h, w)`."""
        with self.networks.acquire(0) as network:
            answers = network([pictures.numpy()])
            regressions, chances = (torch.from_numpy(answers[at].copy()) for at in (0, 1))
        return regressions, chances


def _first_stage(pnet: Any) -> Any:
    """Write MTCNN's P-Net as an `openvino.Model` for pictures of any size."""
    ov = import_openvino()
    ops, one, none = ov.opset13, [1, 1], [0, 0]

    def convolution(x: Any, layer: Any) -> Any:
        weight, bias = (tensor.detach().numpy() for tensor in (layer.weight, layer.bias))
        x = ops.convolution(x, weight, one, none, none, one)
        return ops.add(x, bias.reshape(1, -1, 1, 1))

    picture = ops.parameter([-1, 3, -1, -1], np.float32, name="picture")
    x: Any = picture
    for number in (1, 2, 3):
        x = convolution(x, getattr(pnet, f"conv{number}"))
        x = ops.prelu(x, getattr(pnet, f"prelu{number}").weight.detach().numpy())
        if number == 1:
            x = ops.max_pool(x, [2, 2], one, none, none, [2, 2], "ceil").output(0)
    chances = ops.softmax(convolution(x, pnet.conv4_1), 1)
    return ov.Model([convolution(x, pnet.conv4_2), chances], [picture], "P-Net")
