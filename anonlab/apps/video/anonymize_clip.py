"""A clip in, an anonymized clip out.

The clip is decoded twice, once to find and follow all faces and once to paint them; between, a few
frames of every track are looked at. Frames are worked on several at a time, and kept in segments until
all are done. So the memory does not grow with the clip, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

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
from ...pipeline import Anonymizer
from ..folders.sources import digest
from .clips import Clip, open_clip
from .detections import Detections, detect, joined, thumbnail
from .frames import Frame
from .painting import COVERED, DELAY, WIDER, Painted, Painter
from .planning import Planner
from .plans import BEYOND, FILLED, TrackPlan
from .side_by_side import InOrder, side_by_side
from .state import Arrays, State, unfinished

LEAST_SEGMENT, SEGMENT = 8, 48  # frames
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
    progress: bool = False,
) -> dict:
    """Anonymize the clip in the file `path` and write it to the file `out`, at once or not at all.

    `start` and `end` are seconds: only what lies between them is in the result. `key` is the user's
    own, if there is one: unfinished work of another key is not gone on with. Returns the record: what
    was done with each track. Raises `UnreadableImage`, `NoFaceFound`, `StillRecognised` (only with the
    fall-back `none`), `OutputNotWritable`, `UnknownOption`, `PackageMissing` and `InputDamaged`; without
    a result there is no file. Frames that cannot be decoded are left out and counted as `lost_frames`.
    """
    check_choice("fallback", fallback, FALLBACKS)
    if controls.target_distance is not None or controls.refine_steps:
        raise UnknownOption(
            "a clip is made in one pass: take strength, not target_distance or refine_steps"
        )
    clip = open_clip(path, out, start, end)
    if out.resolve() == path.resolve():
        raise OutputNotWritable(f"{path} would be overwritten; choose another name")
    begun = time.monotonic()
    length = segment_length(clip.count)
    settings = asdict(controls) | {
        "content": digest(path), "fallback": fallback, "part": [start, None if math.isinf(end) else end],
        "ending": out.suffix.lower(), "generator": anonymizer.generator.name, "segment": length,
    }  # fmt: skip
    with unfinished(out, settings, key, resume) as state, side_by_side(anonymizer.device) as in_order:
        work = _Passes(anonymizer, clip, state, length, in_order, progress)
        try:
            plans = work.plan(controls)
            names = work.paint(plans, controls, fallback)
        except (NoFaceFound, StillRecognised, UnreadableImage):
            state.remove()  # going on would come to the same
            raise
        with atomic_path(out) as partial:
            clip.join(map(state.kept, names), partial)
        rows = np.concatenate([state.kept(name)["faces"] for name in names]).tolist()
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
            _track_record(anonymizer, plan, [Painted(*row) for row in rows if row[0] == track])
            for track, plan in enumerate(plans)
        ],
    }


def segment_length(count: int) -> int:
    """Frames of a segment of a clip with `count` frames."""
    segments = SHARES * math.ceil(count / (SHARES * SEGMENT))
    return max(LEAST_SEGMENT, math.ceil(count / segments))


@dataclass(frozen=True)
class _Passes:
    """The two passes over a clip, in segments of `length` frames."""

    anonymizer: Anonymizer
    clip: Clip
    state: State
    length: int
    in_order: InOrder
    progress: bool

    def plan(self, controls: Controls) -> list[TrackPlan]:
        """Find all faces (pass 1), and plan what becomes of them."""

        def found(frames: Iterator[Frame], first: int) -> Iterator[Arrays]:
            before = thumbnail(next(frames).pixels) if first else None
            name = str(self.clip.path)
            return map(vars, detect(self.anonymizer, frames, name, self.length, before, self.in_order))

        if not self.state.has("planned"):
            names = self._each("faces", "finding faces", 1, found)
            self.anonymizer.detector.rest()
            faces = joined([Detections(**self.state.kept(name)) for name in names])
            plans = Planner(self.anonymizer, self.clip, faces, controls).plans()
            for row, plan in enumerate(plans):
                self.state.keep(f"plan-{row:06}", vars(plan))
            self.state.keep("planned", {"count": np.array(len(plans))})
        count = self.state.kept("planned")["count"]
        return [TrackPlan(**self.state.kept(f"plan-{row:06}")) for row in range(count)]

    def paint(self, plans: Sequence[TrackPlan], controls: Controls, fallback: str) -> list[str]:
        """Paint every segment that is not there yet (pass 2); returns the names of all."""
        painter = Painter(self.anonymizer, plans, controls, fallback, str(self.clip.path))

        def painted(frames: Iterator[Frame], first: int) -> Iterator[Arrays]:
            finished = painter.paint(frames, first, self.in_order)
            for one in finished:
                group = itertools.chain([one], itertools.islice(finished, self.length - 1))
                segment = self.clip.encode(group)
                yield {**segment, "faces": np.array(painter.painted, float).reshape(-1, 4)}
                painter.painted.clear()

        return self._each("segment", "new faces", DELAY, painted)

    def _each(
        self, kind: str, what: str, lead: int, work: Callable[[Iterator[Frame], int], Iterator[Arrays]]
    ) -> list[str]:
        """Keep what `work` makes of every segment after those that are there; returns all names.

        `work` gets the frames from a number on, with `lead` frames before them if there are so many, and
        that number.
        """
        count = self.clip.count
        names = [f"{kind}-{row:06}" for row in range(math.ceil(count / self.length))]
        missing = [*itertools.dropwhile(self.state.has, names)]
        first = self.length * (len(names) - len(missing))
        with tqdm(total=count, initial=first, desc=what, unit="frame", disable=not self.progress) as bar:

            def frames() -> Iterator[Frame]:
                for frame in self.clip.frames():
                    if frame.number >= first - lead:
                        bar.update(frame.number >= first)
                        yield frame

            for name, arrays in zip(missing, work(frames(), first), strict=False):
                self.state.keep(name, arrays)
        return names


def _track_record(anonymizer: Anonymizer, plan: TrackPlan, faces: Sequence[Painted]) -> dict:
    """What `--json` says of one track."""
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
        "threshold": anonymizer.recognizer.threshold,
        "least_distance": round(min(distances), 4) if distances else None,  # to the person
    }
