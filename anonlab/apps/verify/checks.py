"""One original and its anonymized photo, compared: faces by position, pixels, and what else leaks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from ...errors import AnonlabError, NoFaceFound
from ...evaluation.judging import Judge, load_judges
from ...photo.boxes import overlap
from ...photo.detection import Detector
from ...photo.faces import JUDGED, Face, align
from ...photo.photos import Photo, read_photo
from ...recognizers import Recognizer, distance
from ...results import rounded
from ..folders.numbered import face_picture
from .containers import hidden_parts
from .pairs import Pair

OVERLAP = 0.3  # of two boxes, over their union, that makes them one face's
LOSSY_NOISE = 16  # of 255; how far a pixel moves when a JPEG is written again
UNCHANGED = 0.05  # share of a face's pixels, of which fewer changed when it was left as it was
NOTICED = 0.001  # share of the pixels outside of faces
NEW, COVERED, LEFT, SAME = "new", "covered", "left", "as it was"
SMALL = ", too small to judge"


@dataclass(frozen=True)
class FaceCheck:
    """One face of an original, and what stands in its place."""

    box: tuple[float, float, float, float]
    state: str  # `new`, `covered` (no face is found there any more), `left` (by the record), `as it was`
    measured: dict[str, tuple[float, float]]  # by recogniser: distance to the original, threshold
    picture: str = ""  # the new face as a data URI; empty where it would show the person

    @property
    def judged(self) -> bool:
        """Whether the face is large enough for a recogniser."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1]) >= JUDGED**2

    @property
    def told(self) -> str:
        """The state in words."""
        return self.state + (SMALL if self.state in (NEW, COVERED) and not self.judged else "")

    @property
    def matched(self) -> list[str]:
        """Recognisers that still take it for the person; none for a face too small to judge."""
        near = [name for name, (away, threshold) in self.measured.items() if away < threshold]
        return near if self.judged else []

    @property
    def leaks(self) -> bool:
        """Whether the person can still be seen, and was meant not to be."""
        return self.state == SAME or (self.state != LEFT and bool(self.matched))


@dataclass(frozen=True)
class PhotoCheck:
    """Everything about one photo."""

    name: str
    faces: list[FaceCheck] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)  # see `containers`
    outside: float = 0.0  # share of the pixels outside of faces that changed
    missing: bool = False  # nothing was written, which leaks nothing
    problem: str | None = None  # why it could not be verified, or why it is missing

    @property
    def leaks(self) -> list[str]:
        """Each leak as a line; what could not be verified is one."""
        if self.problem and not self.missing:
            return [self.problem]
        lines = []
        for one in self.faces:
            if one.leaks:
                why = "is as it was" if one.state == SAME else f"is matched by {', '.join(one.matched)}"
                lines.append(f"the face at {[round(side) for side in one.box]} {why}")
        return lines + [f"the file has: {part}" for part in self.hidden]

    def record(self) -> dict:
        """For `verify.json`."""
        faces = [
            {
                "box": rounded(one.box),
                "state": one.told,
                "distances": {name: round(away, 4) for name, (away, _) in one.measured.items()},
                "matched": one.matched,
            }
            for one in self.faces
        ]
        named = {name: getattr(self, name) for name in ("name", "missing", "problem", "hidden", "leaks")}
        return named | {"faces": faces, "changed_outside": round(self.outside, 6)}


def verify_pairs(
    pairs: Iterable[Pair],
    detector: Detector,
    guide: Recognizer,
    unseen: str | os.PathLike | None = None,
    options: dict | None = None,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> list[PhotoCheck]:
    """Check every pair with every recogniser that is installed, each at its own threshold.

    Those are `guide`, FaceNet where it was downloaded, and the ONNX model at `unseen` with `options` of
    `OnnxRecognizer`. Raises `WeightsMissing`, `WeightsCorrupt` or `UnknownOption`.
    """
    judges = load_judges(guide, unseen, options, device)
    bar = tqdm(list(pairs), unit="photo", desc="verifying", disable=not progress)
    return [check_pair(pair, detector, judges, device) for pair in bar]


def check_pair(
    pair: Pair, detector: Detector, judges: Sequence[Judge], device: torch.device | str = "cpu"
) -> PhotoCheck:
    """One pair; whatever goes wrong with it becomes its `problem`."""
    if pair.anonymized is None:
        return PhotoCheck(pair.name, missing=True, problem=pair.error or "nothing was written")
    if pair.original is None:
        return PhotoCheck(pair.name, problem="has no original, so nothing can be compared")
    try:
        hidden = hidden_parts(pair.anonymized, pair.kept)
        before, after = read_photo(pair.original), read_photo(pair.anonymized)
    except AnonlabError as error:
        return PhotoCheck(pair.name, problem=f"cannot be verified: {error}")
    if before.size != after.size:
        sizes = " and ".join("×".join(map(str, one.size)) for one in (before, after))
        return PhotoCheck(pair.name, hidden=hidden, problem=f"has another size ({sizes})")
    faces, found = _faces(detector, before), _faces(detector, after)
    difference = np.abs(before.pixels.astype(np.int16) - after.pixels).max(-1)
    moved = difference > (LOSSY_NOISE if _is_lossy(after) else 0)
    checks = [_check_face(one, before, after, found, moved, pair.left, judges, device) for one in faces]
    return PhotoCheck(pair.name, checks, hidden, _changed_outside(moved, faces))


def _faces(detector: Detector, photo: Photo) -> list[Face]:
    try:
        return list(detector(photo))
    except NoFaceFound:
        return []


def _is_lossy(photo: Photo) -> bool:
    original = photo.original
    if original is None:
        return True
    if original.format == "TIFF":
        return original.options.get("compression") == "jpeg"
    return original.format not in ("PNG", "BMP", "PPM") and not original.options.get("lossless")


def _check_face(
    face: Face,
    before: Photo,
    after: Photo,
    found: Sequence[Face],
    moved: np.ndarray,
    left: Sequence[Sequence[float]],
    judges: Sequence[Judge],
    device: torch.device | str,
) -> FaceCheck:
    counterparts = [one for one in found if overlap(face, one) >= OVERLAP]
    counterpart = max(counterparts, key=lambda one: overlap(face, one), default=None)
    x, y, right, bottom = face.box
    window = moved[
        max(0, math.floor(y)) : max(1, math.ceil(bottom)),
        max(0, math.floor(x)) : max(1, math.ceil(right)),
    ]
    to_stay = [Face(tuple(box), face.points, 1.0) for box in left if len(box) == 4]
    if any(overlap(face, one) >= OVERLAP for one in to_stay):
        state = LEFT
    elif window.mean() < UNCHANGED:
        state = SAME
    else:
        state = COVERED if counterpart is None else NEW
    check = FaceCheck(face.box, state, _measure(face, counterpart, before, after, judges, device))
    shows_nobody = state in (NEW, COVERED) and not check.matched
    return replace(check, picture=face_picture(after, face.box) if shows_nobody else "")


@torch.no_grad()
def _measure(
    face: Face,
    counterpart: Face | None,
    before: Photo,
    after: Photo,
    judges: Sequence[Judge],
    device: torch.device | str,
) -> dict[str, tuple[float, float]]:
    """The nearest that each recogniser sees it: where the face was, and where one is found now."""
    try:
        was = align(before, face).to(device)
        now = [align(after, one).to(device) for one in (face, counterpart) if one]
    except NoFaceFound:  # too much of it is beyond the frame
        return {}
    measured = {}
    for judge in judges:
        recognizer = judge.recognizer
        source = recognizer.embed(was)
        away = min(distance(recognizer, recognizer.embed(one), source).item() for one in now)
        measured[judge.name] = (away, recognizer.threshold)
    return measured


def _changed_outside(moved: np.ndarray, faces: Sequence[Face]) -> float:
    """Share of the pixels that changed, of those in no face's aligned square."""
    height, width = moved.shape
    covered = Image.new("1", (width, height))
    for face in faces:
        matrix = face.to_photo(1)
        corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ matrix.T
        middle = corners.mean(0)
        ImageDraw.Draw(covered).polygon(
            [tuple(middle + 1.05 * (one - middle)) for one in corners], fill=1
        )
    outside = ~np.asarray(covered)
    return float(moved[outside].mean()) if outside.any() else 0.0
