"""A clip in, an anonymized clip out.

The clip is decoded to find and follow all faces, to look at a few frames of every track, and to paint.
Frames are worked on several at a time, and kept in segments until all are done. So the memory does not
grow with the clip, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...controls import FALLBACKS, Controls
from ...errors import (
    NoFaceFound,
    OutputNotWritable,
    StillRecognised,
    UnknownOption,
    UnreadableImage,
    check_choice,
)
from ...files import atomic_path
from ...generators.openvino_mobile import OpenVINOMobileStyleGAN
from ...pipeline import Anonymizer
from ...side_by_side import InOrder, side_by_side
from ..folders.sources import digest
from ..resume import State, unfinished
from .clips import Clip, open_clip
from .detections import Detections, detect, joined, thumbnail
from .frames import Frame
from .painting import COVERED, WIDER, Painted, Painter
from .planning import Planner
from .plans import BEYOND, FILLED, TrackPlan
from .review import contact_sheet

LEAST_SEGMENT, SEGMENT = 8, 24  # frames, which are in memory together while faces are looked for
SHARES = 4  # there are as many segments as that, or a multiple: a short clip goes on from its quarters


def anonymize_clip(
    anonymizer: Anonymizer,
    path: Path,
    out: Path,
    controls: Controls = Controls(),
    *,
    fallback: str = "blur",
    start: float = 0.0,
    end: float = math.inf,
    key: bytes | None = None,
    resume: bool = False,
    review: Path | None = None,
) -> dict:
    """Anonymize the clip in the file `path` and write it to the file `out`, at once or not at all.

    Only what lies between the seconds `start` and `end` is in the result. `key` is the user's own, if
    there is one: unfinished work of another key is not gone on with. With `review` a picture of the
    worst frames is written there instead of the clip, which `resume` then writes. Returns the record:
    what was done with each track, and `lost_frames`, which cannot be decoded. Raises `UnreadableImage`,
    `NoFaceFound`, `StillRecognised` (only with the fall-back `none`), `OutputNotWritable`,
    `UnknownOption`, `PackageMissing` and `InputDamaged`; then there is no file.
    """
    check_choice("fallback", fallback, FALLBACKS)
    if controls.target_distance is not None or controls.refine_steps:
        raise UnknownOption(
            "a clip is made in one pass: take strength, not target_distance or refine_steps"
        )
    clip = open_clip(path, out, start, end)
    if out.resolve() == path.resolve():
        raise OutputNotWritable(f"{path} would be overwritten; choose another name")
    begun, length = time.monotonic(), segment_length(clip.count)
    settings = asdict(controls) | {
        "content": digest(path), "fallback": fallback, "part": [start, None if math.isinf(end) else end],
        "ending": out.suffix.lower(), "generator": anonymizer.generator.name, "segment": length,
    }  # fmt: skip
    with unfinished(out, settings, key, resume) as state, side_by_side(anonymizer.device) as in_order:
        work = clip, state, length, in_order
        try:
            plans = _planned(anonymizer, *work, controls)
            names = _painted(Painter(anonymizer, plans, controls, fallback, str(path)), *work)
        except (NoFaceFound, StillRecognised, UnreadableImage):
            state.remove()  # going on would come to the same
            raise
        faces = [Painted(*row) for name in names for row in state.kept(name)["faces"].tolist()]
        by_track = [[one for one in faces if one.track == track] for track in range(len(plans))]
        made = state.folder / out.name if review else out
        with atomic_path(made) as partial:
            clip.join(map(state.kept, names), partial)
        if review:
            sheet = contact_sheet(open_clip(made, out).frames(), plans, by_track)
            with atomic_path(review) as partial:
                sheet.save(partial, "PNG")
            made.unlink()
        else:
            state.remove()
    seconds = time.monotonic() - begun
    return {
        "source": str(path),
        "output": str(out),
        "controls": asdict(controls) | {"fallback": fallback},
        "frames": clip.count,
        "lost_frames": clip.lost,
        "seconds": round(seconds, 2),
        "frames_per_second": round(clip.count / seconds, 3),
        "left_out": clip.left_out,
        "tracks": [
            _track_record(*one) | {"threshold": anonymizer.recognizer.threshold}
            for one in zip(plans, by_track, strict=True)
        ],
    }


def _frames(clip: Clip, what: str) -> Iterator[Frame]:
    """Decode all of a clip once more; a terminal shows what for, and how far it is."""
    return iter(tqdm(clip.frames(), what, clip.count, unit="frame", disable=None))


def segment_length(count: int) -> int:
    """Choose how many frames of a clip with `count` are in a segment."""
    segments = SHARES * math.ceil(count / (SHARES * SEGMENT))
    return max(LEAST_SEGMENT, math.ceil(count / segments))


def _planned(
    anonymizer: Anonymizer, clip: Clip, state: State, length: int, in_order: InOrder, controls: Controls
) -> list[TrackPlan]:
    """Find all faces and plan what becomes of them, or go on with what an earlier run has planned."""
    if not state.has("planned"):
        parts, before, rest = [], None, _frames(clip, "finding faces")
        while part := [*itertools.islice(rest, length)]:
            name = f"faces-{len(parts):06}"
            if not state.has(name):
                state.keep(name, vars(detect(anonymizer, part, str(clip.path), before, in_order)))
            before = thumbnail(part[-1].pixels)
            parts.append(Detections(**state.kept(name)))
            del part  # before the next is decoded
        anonymizer.detector.rest()
        plans = Planner(anonymizer, clip, joined(parts), controls).plans()
        for row, plan in enumerate(plans):
            state.keep(f"plan-{row:06}", vars(plan))
        state.keep("planned", {"count": np.array(len(plans))})
        if isinstance(anonymizer.generator, OpenVINOMobileStyleGAN):
            anonymizer.generator.networks.clear()  # painting needs another one
    return [TrackPlan(**state.kept(f"plan-{row:06}")) for row in range(state.kept("planned")["count"])]


def _painted(painter: Painter, clip: Clip, state: State, length: int, in_order: InOrder) -> list[str]:
    """Paint every segment that is not there yet (pass 2); returns the names of all."""
    names = [f"segment-{row:06}" for row in range(math.ceil(clip.count / length))]
    missing = [*itertools.dropwhile(state.has, names)]
    first = length * (len(names) - len(missing))
    finished, faces = painter.paint(_frames(clip, "new faces"), first, in_order), []

    def segment() -> Iterator[tuple[Frame, np.ndarray]]:
        for frame, pixels, own in itertools.islice(finished, length):
            faces.extend(own)
            yield frame, pixels

    for name in missing:
        encoded = clip.encode(segment())
        state.keep(name, {**encoded, "faces": np.array(faces, float).reshape(-1, 4)})
        faces.clear()
    return names


def _track_record(plan: TrackPlan, faces: Sequence[Painted]) -> dict:
    """Describe one track for the record."""
    frames = [int(face.frame) for face in faces]
    kinds = [int(plan.kind[frame - plan.first]) for frame in frames]
    distances = [face.distance for face in faces if not math.isnan(face.distance)]
    return {
        "person": plan.person + 1,
        "first_frame": min(frames, default=plan.first),
        "last_frame": max(frames, default=plan.last),
        "frames": len(faces),
        "filled_in": kinds.count(FILLED),
        "beyond_detection": kinds.count(BEYOND),
        "larger_mask": sum(face.done == WIDER for face in faces),
        "covered_frames": [int(face.frame) for face in faces if face.done == COVERED],
        "mask_area": plan.mask_area,
        "least_distance": round(min(distances), 4) if distances else None,  # to the person
    }
