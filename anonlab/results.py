"""What comes out: an anonymized photo, and for every face in it what was done and how it went."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from PIL import Image

from .controls import Controls
from .photo.detection import DOUBTFUL

Box = tuple[float, float, float, float]  # in the photo: left, top, right, bottom


def rounded(box: Box) -> list[float]:
    """Round a box for a record."""
    return [round(float(side), 1) for side in box]


@dataclass(frozen=True)
class FaceResult:
    """One face, before and after, and the numbers that tell how it went. Pictures have the S × S pixels
    that the face needs in this photo: 256, 512 or 1024 (`anonlab.photo.faces.Face.own_size`)."""

    box: Box
    attribution: torch.Tensor  # (1, 1, 256, 256), stage 1
    mask: torch.Tensor  # (1, 1, S, S), 1 = regenerated
    share_of_face: float  # that the mask covers; its share of the aligned picture is its mean
    aligned: torch.Tensor  # (1, 3, S, S), the face as it was
    generated: torch.Tensor  # (1, 3, S, S), the whole picture that the generator made
    anonymized: torch.Tensor  # (1, 3, S, S), the composite
    ws: torch.Tensor  # (1, num_ws, w_dim)
    distance: float  # the recogniser's, on the finished photo; NaN where that shows no face
    drift: float  # of the five points there, in sides of the aligned square
    threshold: float
    controls: Controls  # as used in the end
    attempts: int
    seconds: float
    number: int = 1  # in the photo; the largest face has 1

    @property
    def found(self) -> bool:
        """Whether the finished photo shows a face there."""
        return not math.isnan(self.distance)

    @property
    def matched(self) -> bool:
        """Whether the recogniser takes the new face for the person."""
        return self.distance < self.threshold

    def record(self) -> dict:
        """Return the face's entry in `record.json`."""
        return {
            "number": self.number,
            "box": rounded(self.box),
            "distance": round(self.distance, 4),
            "threshold": self.threshold,
            "matched": self.matched,
            "mask_area": self.controls.mask_area,
            "mask_share_of_picture": round(self.mask.mean().item(), 4),
            "mask_share_of_face": round(self.share_of_face, 4),
            "strength": self.controls.strength,
            "seed": self.controls.seed,
            "refine_steps": self.controls.refine_steps,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class CoveredFace:
    """A face that could not be generated anew, and took the fall-back."""

    number: int
    box: Box
    how: str  # one of `anonlab.photo.cover.COVERS`
    reason: str  # why
    distance: float  # the recogniser's, where the face was; not a number where it cannot be measured
    threshold: float
    confidence: float = 1.0  # of the detector that it is a face

    def record(self) -> dict:
        """Return its entry in `record.json`."""
        known = not math.isnan(self.distance)
        return {
            "number": self.number,
            "box": rounded(self.box),
            "covered": self.how,
            "reason": self.reason,
            "confidence": round(self.confidence, 3),
            "doubtful": self.confidence < DOUBTFUL,
            "distance": round(self.distance, 4) if known else None,
            "threshold": self.threshold,
            "matched": known and self.distance < self.threshold,
        }


@dataclass(frozen=True)
class LeftFace:
    """A face that was not chosen, and stays as it is."""

    number: int
    box: Box
    taken_for: str | None = None  # the photo of the person to leave alone
    nearness: float | None = None  # to that person; see `anonlab.selection.nearness`

    def record(self) -> dict:
        """Return its entry in `record.json`."""
        near = {"taken_for": self.taken_for, "nearness": round(self.nearness or 0.0, 4)}
        known = near if self.taken_for else {}
        return {"number": self.number, "box": rounded(self.box), "left": True} | known


@dataclass(frozen=True)
class Result:
    """An anonymized photo."""

    image: Image.Image  # same size as the input
    faces: list[FaceResult] = field(default_factory=list)
    icc_profile: bytes | None = None
    covered: list[CoveredFace] = field(default_factory=list)
    left: list[LeftFace] = field(default_factory=list)

    def records(self) -> list[dict]:
        """Return the entries in `record.json` of every face, by number."""
        faces: list[FaceResult | CoveredFace | LeftFace] = [*self.faces, *self.covered, *self.left]
        return [face.record() for face in sorted(faces, key=lambda face: face.number)]
