"""The finished photo, measured again; and what covers a face until it is no longer recognised."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from .controls import Controls
from .errors import FaceTurnedAway, NoFaceFound, StillRecognised
from .photo.cover import CELLS, cover
from .photo.detection import Detector
from .photo.faces import Face, align
from .photo.photos import Photo
from .recognizers import Recognizer, distance
from .results import CoveredFace

# Of 298 photos of Labeled Faces in the Wild the head turned most has .51, and the new face's eyes, nose
# and mouth stand at most .034 sides of the aligned square from where they were: 99 % below .03.
MAX_TURN = 0.6  # `Face.turn` beyond which nothing is known of what the generator draws
MAX_DRIFT = 0.06  # mean distance of the five points before and after, in sides of the square
# One look is not certain: of 283 faces in difficult group photos a tenth is nearer than this after one
# pass, and the distance of a finished face differs by .03 between crops of it.
NEAR = 1.17  # thresholds from the person, up to which a face is tried once more
AREA_STEP, AREA_LIMIT = 1.4, 0.6  # of the mask, from one attempt to the next
RETRY_STEPS = 20  # of refinement, in the last one


@dataclass(frozen=True)
class Attempt:
    """One new face in the photo, and what was seen of it there."""

    number: int  # 1 is the first
    controls: Controls
    mask: torch.Tensor  # (1, 1, S, S)
    made: tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # codes, generated picture, composite
    pixels: np.ndarray  # (H, W, 3) of the whole photo
    distance: float  # of the recogniser to the person; NaN where no face was found
    drift: float  # of the five points, in sides of the aligned square
    matched: bool  # by the recogniser or a guide

    @property
    def found(self) -> bool:
        """Whether there is a face at all."""
        return not math.isnan(self.distance)

    @property
    def sound(self) -> bool:
        """Whether it may be written: a face, in its place, of somebody else."""
        return self.found and not self.matched and self.drift <= MAX_DRIFT

    def harder(self, optimise: bool) -> Controls:
        """What the next attempt is asked for: more area and full strength, and to `optimise`."""
        more = min(AREA_LIMIT, max(round(self.mask.mean().item() * AREA_STEP, 3), 0.1))
        asked = replace(
            self.controls, mask_area=more, mask_threshold=None, strength=1.0, target_distance=None
        )
        if optimise:
            asked = replace(asked, refine_steps=max(asked.refine_steps or 0, RETRY_STEPS))
        return asked


def refused(last: Attempt, photo: Photo, face: Face) -> FaceTurnedAway | StillRecognised:
    """Why no attempt may be written, by the last one."""
    where = f"{photo.name} shows a face at {[round(side) for side in face.box]}"
    if last.found and not last.matched:
        return FaceTurnedAway(f"{where} that the new one does not fit; choose a fallback that covers it")
    reason = "is still recognised" if last.found else "is no longer found as a face"
    return StillRecognised(
        f"{where} that {reason} after {last.number} attempts; nothing was written: try another "
        f"seed or a larger mask_area"
    )


@torch.no_grad()
def measure_again(
    detector: Detector, recognizer: Recognizer, photo: Photo, face: Face, source: torch.Tensor
) -> tuple[float | None, float, torch.Tensor | None]:
    """Distance of the face in a finished photo to `source (1, dim)`, how far its points have moved, in
    sides of the aligned square, and the face itself, aligned; None, 0 and None if it is not found."""
    again = detector.again(photo, face)
    if again is None:
        return None, 0.0, None
    drift = np.hypot(*(again.points - face.points).T).mean() / face.side
    aligned = align(photo, again, again.own_size).to(source.device)
    away = distance(recognizer, recognizer.embed(aligned), source).item()
    return away, float(drift), aligned


@torch.no_grad()
def cover_face(
    recognizer: Recognizer, current: Photo, photo: Photo, face: Face, how: str
) -> tuple[CoveredFace, np.ndarray]:
    """`current` with a face covered, in as few colours as it takes; `photo` is the untouched one.

    `how` is one of `anonlab.controls.COVERS`. Returns what was done, without number and reason, and the
    pixels `(H, W, 3)`.
    """
    device = recognizer.mean.device

    def embedded(one: Photo) -> torch.Tensor:
        return recognizer.embed(align(one, face, face.own_size).to(device))

    try:
        before = embedded(photo)
    except NoFaceFound:  # too little of it for a recogniser
        nothing = CoveredFace(0, face.box, how, "", math.nan, recognizer.threshold, face.confidence)
        return nothing, cover(current, face, how)
    for cells in range(CELLS, 0, -1):
        pixels = cover(current, face, how, cells)
        away = distance(recognizer, before, embedded(replace(photo, pixels=pixels))).item()
        if away >= recognizer.threshold:
            break
    return CoveredFace(0, face.box, how, "", away, recognizer.threshold, face.confidence), pixels
