"""A clip as frames in and segments out, whatever its format.

A segment is some encoded frames, as arrays that can be kept in a file; the segments of a clip are
joined at the end. So a run that was stopped goes on after its last whole segment, and memory does not
grow with the clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import UnreadableImage

Segment = Mapping[str, np.ndarray]
ANIMATIONS = {".gif", ".webp", ".png", ".apng"}  # by Pillow
VIDEOS = {  # by PyAV
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
    *(".flv", ".wmv", ".ogv", ".nut"),
}


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    number: int  # 0 is the first that is wanted
    time: float  # seconds since the clip's beginning
    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright
    native: Any  # as the format has it, for `Clip.encode`


class Clip(Protocol):
    """An open clip. `start` and `end` are the seconds between which frames are wanted."""

    path: Path
    count: int | None  # how many frames are wanted, where the file says so
    left_out: list[str]  # what is in the file and does not travel to the output

    def frames(self) -> Iterator[Frame]:
        """Decode from the first wanted frame on; may be called again. Raises `UnreadableImage`."""
        ...

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Frames with the pixels `(H, W, 3)` that they shall have, encoded."""
        ...

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Write all segments, and the sound that belongs to them, to the file `partial`."""
        ...


def open_clip(path: Path, out: Path, start: float = 0.0, end: float = math.inf) -> Clip:
    """The clip in a file; `out` is the name of the result, whose ending says the format.

    Raises `UnreadableImage`, `OutputNotWritable` for a format that cannot be written, and
    `PackageMissing` when PyAV is needed and not installed.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UnreadableImage(f"{path} {what}; name a clip")
    kind = path.suffix.lower()
    if kind in ANIMATIONS:
        from .animations import Animation

        return Animation(path, out, start, end)
    if kind not in VIDEOS:
        known = ", ".join(sorted(ANIMATIONS | VIDEOS))
        raise UnreadableImage(f"{path} is no clip that can be read by its name; it can be: {known}")
    from .video_files import VideoFile

    return VideoFile(path, out, start, end)
