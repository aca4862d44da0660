"""A clip as frames in and segments out, whatever its format.

A segment is some encoded frames, as arrays that can be kept in a file; the segments of a clip are
joined at the end. So a run that was stopped goes on after its last whole segment, and memory does not
grow with the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

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
