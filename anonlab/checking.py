"""What may be written: the attempts at a face, the finished photo measured again, and the cover."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from .controls import Controls
from .errors import FaceTurnedAway, NoFaceFound, StillRecognised
from .photo.cover import CELLS, cover
from .photo.detection import Detector
from .photo.faces import Face, align
from .photo.photos import Photo
from .recognizers import Recognizer, distance
from .results import CoveredFace, FaceResult

MAX_TURN = 0.6  # `Face.turn` beyond which nothing is known of what is drawn; in 298 photos (LFW) .51
MAX_DRIFT = 0.06  # mean distance of the five points before and after, in sides; in these at most .034
ATTEMPTS = 3  # the first, and two with more area, of which the last is refined
OVERSHOOT = 1.5  # times as far as usual from the person do the later ones aim
# thresholds from the person, up to which a face is tried once more, and for the last time: distances
# differ by .03 by the crop
RETRY_MARGIN, LAST_MARGIN = 1.17, 1.05
AREA_STEP, AREA_LIMIT = 1.4, 0.6  # of the mask, from one attempt to the next
RETRY_STEPS = 20  # of refinement, in the last one, …
REFINED = 48  # … which only faces of so many pixels get, as a square


def acceptable(tried: FaceResult) -> bool:
    """Tell whether an attempt may be written: a face, in its place, of another person."""
    return tried.found and not tried.matched and tried.drift <= MAX_DRIFT


def nearly_matched(tried: FaceResult, attempts: int) -> bool:
    """Tell whether the best of some `attempts` without optimisation went all the way, and ended so near
    that other recognisers, or this one in another crop, may match the person."""
    whole = tried.controls.strength == 1 and tried.controls.target_distance is None
    margin = RETRY_MARGIN if attempts == 1 else LAST_MARGIN
    return whole and not tried.controls.refine_steps and tried.distance < margin * tried.threshold


def next_controls(tried: FaceResult, area: float, optimize: bool) -> Controls:
    """Return the controls of the attempt after `tried`, whose mask had this `area`: more area, no own
    beard, full strength; where it `optimize`s, steps of that, and nothing given back."""
    controls, steps = tried.controls.with_new_mouth(), tried.controls.refine_steps
    if optimize:
        area = tried.mask.mean().item()
    return replace(
        controls,
        mask_area=min(AREA_LIMIT, max(round(area * AREA_STEP, 3), 0.1)),
        mask_threshold=None,
        give_back=0.0 if optimize else controls.give_back,
        strength=1.0,
        target_distance=None,
        refine_steps=max(steps or 0, RETRY_STEPS) if optimize else steps,
    )


def _where(photo: Photo, face: Face) -> str:
    return f"{photo.name} shows a face at {[round(side) for side in face.box]}"


def check_turn(photo: Photo, face: Face) -> None:
    """Raise `FaceTurnedAway` for a face that is turned farther than the generator can draw one."""
    if face.turn > MAX_TURN:
        raise FaceTurnedAway(
            f"{_where(photo, face)} that is turned too far away; choose a fallback that covers it"
        )


def refused(last: FaceResult, photo: Photo, face: Face) -> FaceTurnedAway | StillRecognised:
    """Return the error that says why no attempt may be written, by the last one."""
    where = _where(photo, face)
    if last.found and not last.matched:
        return FaceTurnedAway(f"{where} that the new one does not fit; choose a fallback that covers it")
    reason = "is still recognised" if last.found else "is no longer found as a face"
    return StillRecognised(
        f"{where} that {reason} after {last.attempts} attempts; try another seed or a larger mask_area"
    )


@torch.no_grad()
def embed_face(recognizer: Recognizer, photo: Photo, face: Face) -> torch.Tensor:
    """Embed a face of a photo, `(1, dim)`, in as many pixels as it has there. Raises `NoFaceFound`."""
    return recognizer.embed(align(photo, face, face.own_size).to(recognizer.mean.device))


def measure_again(
    detector: Detector, recognizer: Recognizer, photo: Photo, face: Face, source: torch.Tensor
) -> tuple[float, float]:
    """Measure the distance of the face in a finished photo to `source (1, dim)`, and how far its points
    have moved, in sides of the aligned square; NaN and infinity if no face is found there."""
    again = detector.again(photo, face)
    if again is None:
        return math.nan, math.inf
    drift = np.hypot(*(again.points - face.points).T).mean() / face.side
    return distance(recognizer, embed_face(recognizer, photo, again), source).item(), float(drift)


def cover_face(
    recognizer: Recognizer, photo: Photo, face: Face, how: str, pixels: np.ndarray | None = None
) -> tuple[CoveredFace, np.ndarray]:
    """Cover a face of the untouched `photo`, in as few colours as it takes, in `pixels (H, W, 3)`, by
    default the photo's; `how` is one of `COVERS`. Returns what was done, without number and reason, and
    the new pixels."""
    canvas = photo if pixels is None else replace(photo, pixels=pixels)
    try:
        before = embed_face(recognizer, photo, face)
    except NoFaceFound:  # too little of it for a recogniser
        away, covered = math.nan, cover(canvas, face, how)
    else:
        for cells in range(CELLS, 0, -1):
            covered = cover(canvas, face, how, cells)
            after = embed_face(recognizer, replace(photo, pixels=covered), face)
            away = distance(recognizer, before, after).item()
            if away >= recognizer.threshold:
                break
    return CoveredFace(0, face.box, how, "", away, recognizer.threshold, face.confidence), covered
