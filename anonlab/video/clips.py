"""Open a clip by the name of its file.

A clip gives its frames and takes finished ones back in segments, which are joined at the end. So a run
that was stopped goes on after its last whole segment, and memory does not grow with the clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UnknownOption, UnreadableImage
from .animations import KINDS, Animation
from .frames import Frame, Segment
from .video_files import VideoFile

VIDEOS = {  # by PyAV
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
    *(".flv", ".wmv", ".ogv", ".nut"),
}


class Clip(Protocol):
    """An open clip. `start` and `end` are the seconds between which frames are wanted."""

    path: Path
    count: int  # how many frames are wanted and can be decoded; asking for it reads the clip once
    lost: int  # how many cannot be decoded, known when `count` is
    left_out: list[str]  # what is in the file and does not travel, complete when `count` is known

    def frames(self) -> Iterator[Frame]:
        """Decode from the first wanted frame on; may be called again. Raises `UnreadableImage`."""
        ...

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Encode frames with the pixels `(H, W, 3)` that they shall have. Raises `OutputNotWritable`."""
        ...

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Write all segments, and the sound that belongs to them, to the file `partial`."""
        ...


def open_clip(path: Path, out: Path, start: float = 0.0, end: float = math.inf) -> Clip:
    """Open the clip in a file; `out` is the name of the result, whose ending says the format.

    Raises `UnreadableImage`, `UnknownOption` for an empty part, `OutputNotWritable` for a result that
    cannot be written, and `PackageMissing` when PyAV is needed and not installed.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UnreadableImage(f"{path} {what}; name a clip")
    if not 0 <= start < end:
        raise UnknownOption(f"the part from {start:g} to {end:g} seconds is empty; choose another")
    kind = path.suffix.lower()
    if kind in KINDS:
        return Animation(path, out, start, end)
    if kind not in VIDEOS:
        known = ", ".join(sorted(VIDEOS | {*KINDS}))
        raise UnreadableImage(f"{path} is no clip that can be read by its name; it can be: {known}")
    return VideoFile(path, out, start, end)
