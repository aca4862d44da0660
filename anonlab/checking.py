"""What may be written: the attempts at a face, the finished photo measured again, and the cover."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

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
from .watch import Watch

# Of 298 photos of Labeled Faces in the Wild the head turned most has .51, and the new face's eyes, nose
# and mouth stand at most .034 sides of the aligned square from where they were: 99 % below .03.
MAX_TURN = 0.6  # `Face.turn` beyond which nothing is known of what the generator draws
MAX_DRIFT = 0.06  # mean distance of the five points before and after, in sides of the square
# One look is not certain: of 283 faces in difficult group photos a tenth is nearer than this after one
# pass, and the distance of a finished face differs by .03 between crops of it.
ATTEMPTS = 3  # the first, and two with more area, of which the last is refined
OVERSHOOT = 1.5  # times as far as usual from the person do the later ones aim
RETRY_MARGIN = 1.17  # thresholds from the person, up to which a face is tried once more
AREA_STEP, AREA_LIMIT = 1.4, 0.6  # of the mask, from one attempt to the next
RETRY_STEPS = 20  # of refinement, in the last one


@dataclass(frozen=True)
class Attempt:
    """One new face, and what the check measured of it in the finished photo."""

    number: int  # 1 is the first
    controls: Controls
    mask: torch.Tensor  # (1, 1, S, S)
    ws: torch.Tensor  # (1, num_ws, w_dim)
    generated: torch.Tensor  # (1, 3, S, S)
    composite: torch.Tensor  # (1, 3, S, S)
    pixels: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 3), np.uint8))  # of the photo
    distance: float = math.nan  # of the recogniser to the person; NaN where no face was found
    drift: float = math.inf  # of the five points, in sides of the aligned square
    threshold: float = math.inf  # of the recogniser

    @property
    def found(self) -> bool:
        """Whether there is a face at all."""
        return not math.isnan(self.distance)

    @property
    def matched(self) -> bool:
        """Whether the recogniser takes the new face for the person."""
        return self.distance < self.threshold

    @property
    def acceptable(self) -> bool:
        """Whether it may be written: a face, in its place, of another person."""
        return self.found and not self.matched and self.drift <= MAX_DRIFT

    def nearly_matched(self, refine_steps: int) -> bool:
        """Whether one pass all the way ended so near that other recognisers may match the person."""
        whole = self.controls.strength == 1 and self.controls.target_distance is None
        one_pass = not (refine_steps or self.controls.refine_steps)
        return whole and one_pass and self.distance < RETRY_MARGIN * self.threshold

    def next_controls(self, optimize: bool) -> Controls:
        """Return the controls of the next attempt: more area, full strength, and steps if `optimize`."""
        area = min(AREA_LIMIT, max(round(self.mask.mean().item() * AREA_STEP, 3), 0.1))
        steps = self.controls.refine_steps
        return replace(
            self.controls,
            mask_area=area,
            mask_threshold=None,
            strength=1.0,
            target_distance=None,
            refine_steps=max(steps or 0, RETRY_STEPS) if optimize else steps,
        )

    def result(
        self, face: Face, heat: torch.Tensor, image: torch.Tensor, share: float, seconds: float
    ) -> FaceResult:
        """Report this attempt, on the CPU: `heat` is the attribution, `image` the face as it was, and
        `share` how much of the face the mask covers."""
        return FaceResult(
            box=face.box,
            attribution=heat.cpu(),
            mask=self.mask.cpu(),
            share_of_face=share,
            aligned=image.cpu(),
            generated=self.generated.cpu(),
            anonymized=self.composite.cpu(),
            ws=self.ws.cpu(),
            distance=self.distance,
            threshold=self.threshold,
            matched=self.matched,
            controls=self.controls,
            attempts=self.number,
            seconds=seconds,
        )


class Attempts:
    """The attempts at one face, and the best of them.

    Iterate over the controls of each and how many times as far as usual it aims, and `add` what was made
    of them. With `verify` more follow while no attempt may be written, and one more when the first is
    `nearly_matched`.
    """

    last: Attempt

    def __init__(self, controls: Controls, verify: bool, refine_steps: int, watch: Watch):
        self.controls, self.verify, self.refine_steps = controls, verify, refine_steps
        self.number, self._watch = 1, watch
        self.best: Attempt | None = None

    def __iter__(self) -> Iterator[tuple[Controls, float]]:
        yield self.controls, 1.0
        while self.number < ATTEMPTS and not self._enough():
            optimize = self.number > 1 and not self.refine_steps
            self.controls, self.number = self.last.next_controls(optimize), self.number + 1
            yield self.controls, OVERSHOOT

    def _enough(self) -> bool:
        near = self.verify and self.number == 1 and self.last.nearly_matched(self.refine_steps)
        return self.best is not None and not near

    def add(self, tried: Attempt) -> None:
        """Take the attempt whose turn it was, checked."""
        self.last = tried
        may = tried.acceptable or not self.verify
        if may and (self.best is None or tried.distance > self.best.distance):
            self.best = tried

    def watch(self, doing: str, share: float) -> None:
        """Report progress, with the number of the attempt."""
        again = f"attempt {self.number} of {ATTEMPTS}: " if self.number > 1 else ""
        self._watch(again + doing, share)

    def refining(self, share: float) -> None:
        """Report which share of an optimisation is done."""
        self.watch("refining the new face", 0.3 + 0.5 * share)


def _where(photo: Photo, face: Face) -> str:
    return f"{photo.name} shows a face at {[round(side) for side in face.box]}"


def check_turn(photo: Photo, face: Face) -> None:
    """Raise `FaceTurnedAway` for a face that is turned farther than the generator can draw one."""
    if face.turn > MAX_TURN:
        raise FaceTurnedAway(
            f"{_where(photo, face)} that is turned too far away; choose a fallback that covers it"
        )


def refused(last: Attempt, photo: Photo, face: Face) -> FaceTurnedAway | StillRecognised:
    """Return the error that says why no attempt may be written, by the last one."""
    where = _where(photo, face)
    if last.found and not last.matched:
        return FaceTurnedAway(f"{where} that the new one does not fit; choose a fallback that covers it")
    reason = "is still recognised" if last.found else "is no longer found as a face"
    return StillRecognised(
        f"{where} that {reason} after {last.number} attempts; try another seed or a larger mask_area"
    )


@torch.no_grad()
def measure_again(
    detector: Detector, recognizer: Recognizer, photo: Photo, face: Face, source: torch.Tensor
) -> tuple[float, float]:
    """Measure the distance of the face in a finished photo to `source (1, dim)`, and how far its points
    have moved, in sides of the aligned square; NaN and infinity if no face is found there."""
    again = detector.again(photo, face)
    if again is None:
        return math.nan, math.inf
    drift = np.hypot(*(again.points - face.points).T).mean() / face.side
    aligned = align(photo, again, again.own_size).to(source.device)
    return distance(recognizer, recognizer.embed(aligned), source).item(), float(drift)


@torch.no_grad()
def cover_face(
    recognizer: Recognizer, photo: Photo, face: Face, how: str, pixels: np.ndarray | None = None
) -> tuple[CoveredFace, np.ndarray]:
    """Cover a face of the untouched `photo`, in as few colours as it takes, in `pixels (H, W, 3)`, by
    default the photo's; `how` is one of `COVERS`. Returns what was done, without number and reason, and
    the new pixels."""
    device = recognizer.mean.device
    canvas = photo if pixels is None else replace(photo, pixels=pixels)

    def embed(shown: Photo) -> torch.Tensor:
        return recognizer.embed(align(shown, face, face.own_size).to(device))

    try:
        before = embed(photo)
    except NoFaceFound:  # too little of it for a recogniser
        away, covered = math.nan, cover(canvas, face, how)
    else:
        for cells in range(CELLS, 0, -1):
            covered = cover(canvas, face, how, cells)
            away = distance(recognizer, before, embed(replace(photo, pixels=covered))).item()
            if away >= recognizer.threshold:
                break
    return CoveredFace(0, face.box, how, "", away, recognizer.threshold, face.confidence), covered
