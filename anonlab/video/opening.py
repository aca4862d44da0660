"""Open a clip by the name of its file."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import UnreadableImage
from .animations import Animation
from .clips import ANIMATIONS, VIDEOS, Clip
from .video_files import VideoFile


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
        return Animation(path, out, start, end)
    if kind not in VIDEOS:
        known = ", ".join(sorted(ANIMATIONS | VIDEOS))
        raise UnreadableImage(f"{path} is no clip that can be read by its name; it can be: {known}")
    return VideoFile(path, out, start, end)
