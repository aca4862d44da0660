"""A clip in, an anonymized clip out.

The clip is decoded twice, once to find and follow all faces and once to paint them; between, a few
frames of every track are looked at. Frames are worked on in segments, several of them at a time, and
these are kept until all are done. So the memory does not grow with the clip, and a run that was stopped
goes on where it was.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
from tqdm.auto import tqdm

from ...controls import FALLBACKS, Controls
from ...errors import NoFaceFound, OutputNotWritable, StillRecognised, UnknownOption, UnreadableImage
from ...pipeline import Anonymizer
from .clips import Clip, open_clip
from .detections import Detections, detect, joined, thumbnail
from .frames import Frame
from .painting import COVERED, WIDER, Painted, Painter
from .plans import BEYOND, FILLED, TrackPlan, from_arrays, make_plans, to_arrays
from .side_by_side import runs, side_by_side, unless, worker_count
from .state import State, describe
from .temporal import measure, signals

LEAST_SEGMENT, SEGMENT = 8, 48  # frames
SHARES = 4  # there are as many segments as that, or a multiple, so that workers share them evenly


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
    progress: bool = False,
    segment: int | None = None,
) -> dict:
    """Anonymize the clip in the file `path` and write it to the file `out`, at once or not at all.

    `start` and `end` are seconds: only what lies between them is in the result. `key` is the user's
    own, if there is one: unfinished work of another key is not gone on with. `segment` is how many
    frames are worked on and kept together, by default `segment_length` of the clip. Returns the record:
    what was done with each track, and how steady it is (`anonlab.apps.video.temporal`). Raises
    `UnreadableImage`, `NoFaceFound`, `StillRecognised` (only with the fall-back `none`),
    `OutputNotWritable`, `UnknownOption`, `PackageMissing` and `InputDamaged`; without a result there is
    no file. Frames that cannot be decoded are left out and counted as `lost_frames`.
    """
    if fallback not in FALLBACKS:
        raise UnknownOption(f"fallback {fallback!r} does not exist; choose from: {', '.join(FALLBACKS)}")
    if controls.target_distance is not None or controls.refine_steps:
        raise UnknownOption(
            "a clip is made in one pass: take strength, not target_distance or refine_steps"
        )
    clip = open_clip(path, out, start, end)
    if out.resolve() == path.resolve():
        raise OutputNotWritable(f"{path} would be overwritten; choose another name")
    begun = time.monotonic()
    segment = segment or segment_length(clip.count)
    about = describe(
        path, controls, key, fallback=fallback, part=[start, None if math.isinf(end) else end],
        ending=out.suffix.lower(), generator=anonymizer.generator.name, segment=segment,
    )  # fmt: skip
    with State(out, about, resume) as state:
        try:
            plans = _planned(anonymizer, clip, state, controls, segment, progress)
            _painted(anonymizer, clip, state, plans, controls, fallback, segment, progress)
        except (NoFaceFound, StillRecognised, UnreadableImage):
            state.remove()  # going on would come to the same
            raise
        names = [*map(_segment_name, range(math.ceil(clip.count / segment)))]
        state.publish(lambda whole: clip.join((state.kept(name) for name in names), whole))
        faces = list(
            itertools.chain.from_iterable(from_arrays(Painted, state.kept(name)) for name in names)
        )
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
            _track_record(anonymizer, plan, [face for face in faces if face.track == row])
            for row, plan in enumerate(plans)
        ],
    }


def segment_length(count: int) -> int:
    """Frames of a segment of a clip with `count` frames."""
    segments = SHARES * math.ceil(count / (SHARES * SEGMENT))
    return max(LEAST_SEGMENT, math.ceil(count / segments))


def _planned(
    anonymizer: Anonymizer,
    clip: Clip,
    state: State,
    controls: Controls,
    segment: int,
    progress: bool,
) -> list[TrackPlan]:
    """Find all faces (pass 1), and plan what becomes of them."""
    if state.has("plans"):
        return from_arrays(TrackPlan, state.kept("plans"))
    parts = math.ceil(clip.count / segment)
    workers = worker_count(parts, anonymizer.device)
    with tqdm(total=clip.count, desc="finding faces", unit="frame", disable=not progress) as bar:

        def look(mine: int, stop: Event) -> None:
            """Detect faces in every `workers`-th segment."""
            before: np.ndarray | None = None
            for row, frames in enumerate(_groups(unless(stop, clip.frames()), segment)):
                if row % workers != mine:
                    before = thumbnail(_last(frames).pixels)
                elif state.has(_faces_name(row)):
                    before = thumbnail(_last(_counted(frames, bar)).pixels)
                else:
                    found, before = detect(anonymizer, _counted(frames, bar), str(clip.path), before)
                    state.keep(_faces_name(row), found.arrays())

        side_by_side([partial(look, mine) for mine in range(workers)], workers)
    anonymizer.detector.rest()
    found = joined([Detections(**state.kept(_faces_name(row))) for row in range(parts)])
    plans = make_plans(anonymizer, clip, found, controls)
    state.keep("plans", to_arrays(plans))
    return plans


def _painted(
    anonymizer: Anonymizer,
    clip: Clip,
    state: State,
    plans: Sequence[TrackPlan],
    controls: Controls,
    fallback: str,
    segment: int,
    progress: bool,
) -> None:
    """Paint every segment that is not there yet (pass 2)."""
    count, rows = clip.count, range(math.ceil(clip.count / segment))
    missing = [row for row in rows if not state.has(_segment_name(row))]
    workers = worker_count(len(rows), anonymizer.device)
    done = segment * (len(rows) - len(missing))
    with tqdm(total=count, initial=done, desc="new faces", unit="frame", disable=not progress) as bar:

        def paint(mine: range, stop: Event) -> None:
            painter = Painter(anonymizer, plans, controls, fallback, str(clip.path))
            frames = unless(stop, clip.frames())
            finished = painter.paint(frames, mine.start * segment)
            for row, some in zip(mine, _groups(finished, segment), strict=False):
                faces: list[Painted] = []

                def encoded(some: Iterable = some, faces: list = faces) -> Iterator[tuple]:
                    for frame, pixels, painted in some:
                        faces.extend(painted)
                        bar.update()
                        yield frame, pixels

                made = clip.encode(encoded())
                state.keep(_segment_name(row), {**made, **to_arrays(faces)})

        side_by_side([partial(paint, run) for run in runs(missing, workers)], workers)


def _faces_name(row: int) -> str:
    return f"faces-{row:06}"


def _segment_name(row: int) -> str:
    return f"segment-{row:06}"


def _last(frames: Iterable[Frame]) -> Frame:
    for frame in frames:
        last = frame
    return last


def _counted(frames: Iterable[Frame], bar: tqdm) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        bar.update()


def _groups(items: Iterator, size: int) -> Iterator[Iterator]:
    """Consecutive groups of an iterator, each of which is used up before the next."""
    for first in items:
        yield itertools.chain([first], itertools.islice(items, size - 1))


def _track_record(anonymizer: Anonymizer, plan: TrackPlan, faces: Sequence[Painted]) -> dict:
    """What `--json` says of one track."""
    covered = [face.frame for face in faces if face.done == COVERED]
    kinds = [int(plan.kind[face.frame - plan.first]) for face in faces]
    record = {
        "person": plan.person + 1,
        "first_frame": min((face.frame for face in faces), default=plan.first),
        "last_frame": max((face.frame for face in faces), default=plan.last),
        "frames": len(faces),
        "filled_in": kinds.count(FILLED),
        "beyond_detection": kinds.count(BEYOND),
        "larger_mask": sum(face.done == WIDER for face in faces),
        "covered_frames": covered,
        "mask_area": plan.mask_area,
        "threshold": anonymizer.recognizer.threshold,
    }
    if any(not np.isnan(face.before).any() for face in faces):
        measures = measure(anonymizer.recognizer, signals(faces))
        record["measures"] = {name: round(float(one.value), 4) for name, one in measures.items()}
    return record
