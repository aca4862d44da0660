"""Compare an original with its anonymized photo: faces by position, pixels, and what else leaks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from tqdm import tqdm

from ...errors import AnonlabError, NoFaceFound
from ...evaluation.judging import Judge, load_judges
from ...files import printable
from ...photo.boxes import overlap
from ...photo.detection import Detector
from ...photo.faces import JUDGED, Face, align
from ...photo.photos import Photo, read_photo
from ...recognizers import Recognizer, distance
from .containers import hidden_parts
from .pairs import Pair

OVERLAP = 0.3  # of two boxes, over their union, that makes them one face's
LOSSY_NOISE = 16  # of 255; how far a pixel moves when a JPEG is written again
UNCHANGED = 0.05  # share of a face's pixels, of which fewer changed when it was left as it was
LOSSLESS = ("PNG", "BMP", "PPM")
NEW, COVERED, LEFT, SAME, SMALL = "new", "covered", "left", "as it was", "too small to judge"


@dataclass(frozen=True)
class FaceCheck:
    """One face of an original, and what stands in its place."""

    box: tuple[float, float, float, float]
    state: str  # new, covered (no face is found there), left (by the record), as it was, or too small
    measured: dict[str, tuple[float, float]]  # by recogniser: distance to the original, threshold


@dataclass(frozen=True)
class PhotoCheck:
    """Everything about one photo."""

    name: str
    leaks: list[str] = field(default_factory=list)  # a line each; what could not be verified is one
    faces: list[FaceCheck] = field(default_factory=list)
    missing: str = ""  # why nothing was written, which leaks nothing


def verify_pairs(
    pairs: Iterable[Pair],
    detector: Detector,
    guide: Recognizer,
    unseen: str | os.PathLike | None = None,
    options: dict | None = None,
) -> list[PhotoCheck]:
    """Check every pair by several recognisers, each at its own threshold.

    They are `guide`, FaceNet where it was downloaded, and the ONNX model at `unseen` with `options` of
    `OnnxRecognizer`. Raises `WeightsMissing`, `WeightsCorrupt` or `UnknownOption`.
    """
    judges = load_judges(guide, unseen, options)
    bar = tqdm(list(pairs), unit="photo", desc="verifying", disable=None)
    return [check_pair(pair, detector, judges) for pair in bar]


def check_pair(pair: Pair, detector: Detector, judges: Sequence[Judge]) -> PhotoCheck:
    """Check one pair; whatever goes wrong with it is one of its `leaks`."""
    if pair.anonymized is None:
        return PhotoCheck(pair.name, missing=pair.error or "nothing was written")
    if pair.original is None:
        return PhotoCheck(pair.name, ["has no original, so nothing can be compared"])
    try:
        leaks = [f"the file has: {part}" for part in hidden_parts(pair.anonymized, pair.kept)]
        before, after = read_photo(pair.original), read_photo(pair.anonymized)
    except AnonlabError as error:
        return PhotoCheck(pair.name, [f"cannot be verified: {error}"])
    if before.size != after.size:
        sizes = " and ".join("×".join(map(str, one.size)) for one in (before, after))
        return PhotoCheck(pair.name, [f"has another size ({sizes})", *leaks])
    found = _faces(detector, after)
    difference = np.abs(before.pixels.astype(np.int16) - after.pixels).max(-1)
    moved = difference > (LOSSY_NOISE if _is_lossy(after) else 0)
    checks, shown = [], []
    for face in _faces(detector, before):
        near = [one for one in found if overlap(face, one) >= OVERLAP]
        state = _state(face, NEW if near else COVERED, moved, pair.left)
        measured = _measure([face, *near], before, after, judges)
        matching = [name for name, (away, threshold) in measured.items() if away < threshold]
        how = "is as it was" if state == SAME else ""
        if state in (NEW, COVERED) and matching:
            how = f"is matched by {', '.join(matching)}"
        shown += [f"the face at {[round(side) for side in face.box]} {how}"] if how else []
        checks.append(FaceCheck(face.box, state, measured))
    return PhotoCheck(pair.name, shown + leaks, checks)


def _faces(detector: Detector, photo: Photo) -> list[Face]:
    try:
        return list(detector(photo))
    except NoFaceFound:
        return []


def _is_lossy(photo: Photo) -> bool:
    kind, options = photo.original.format, photo.original.options
    if kind == "TIFF":
        return options.get("compression") == "jpeg"
    return kind not in LOSSLESS and not options.get("lossless")


def _state(face: Face, now: str, moved: np.ndarray, left: Iterable[Sequence[float]]) -> str:
    boxes = [replace(face, box=tuple(box)) for box in left if len(box) == 4]
    if any(overlap(face, one) >= OVERLAP for one in boxes):
        return LEFT
    first = np.maximum(np.floor(face.box[:2]), 0).astype(int)
    last = np.maximum(np.ceil(face.box[2:]), 1).astype(int)
    if moved[first[1] : last[1], first[0] : last[0]].mean() < UNCHANGED:
        return SAME
    return now if face.area >= JUDGED**2 else SMALL


@torch.no_grad()
def _measure(
    faces: Sequence[Face], before: Photo, after: Photo, judges: Sequence[Judge]
) -> dict[str, tuple[float, float]]:
    """Measure the nearest that each recogniser sees the first of `faces`: there, and where faces are
    now."""
    try:
        was, now = align(before, faces[0]), torch.cat([align(after, one) for one in faces])
    except NoFaceFound:  # too much of it is beyond the frame
        return {}
    measured = {}
    for judge in judges:
        by, device = judge.recognizer, judge.recognizer.mean.device
        away = distance(by, by.embed(now.to(device)), by.embed(was.to(device)))
        measured[judge.name] = (away.min().item(), by.threshold)
    return measured


def report(checks: Sequence[PhotoCheck]) -> int:
    """Print a line a photo and a headline; return how many photos leak."""
    for one in checks:
        verdict = "LEAK" if one.leaks else "missing" if one.missing else "ok"
        print(printable(f"{verdict:8}{one.name}: {in_words(one)}"))
    leaking, missing = sum(bool(one.leaks) for one in checks), sum(bool(one.missing) for one in checks)
    faces = [face for one in checks for face in one.faces]
    said = f"{leaking} of {len(checks)} photos leak" if leaking else "no leak found"
    told = f"{len(faces)} faces ({states(faces)})" if faces else "no face"
    print(f"{said}: {len(checks)} photos ({missing} missing), {told}")
    return leaking


def in_words(one: PhotoCheck) -> str:
    """Tell what was found of a photo: its leaks, its faces, and the nearest distance of each recogniser
    before its threshold."""
    words = [one.missing, *one.leaks, states(one.faces)]
    seen = [each for face in one.faces if face.state != LEFT for each in face.measured.items()]
    for name, (away, threshold) in dict(sorted(seen, reverse=True)).items():  # the nearest comes last
        words.append(f"nearest {name} {away:.2f} / {threshold:.2f}")
    return "; ".join(filter(None, words)) or "no face"


def states(faces: Iterable[FaceCheck]) -> str:
    """Count the faces in each state."""
    return ", ".join(f"{count} {state}" for state, count in Counter(one.state for one in faces).items())
