"""Open a clip by the name of its file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ...errors import PackageMissing, UnknownOption, UnreadableImage
from ...photo.containers import CLIPS
from .animations import KINDS, Animation

if TYPE_CHECKING:
    from .video_files import VideoFile

# Both have `path`; `count` (frames that are wanted and can be decoded: asking reads the clip once),
# `lost` (those that cannot) and `left_out` (what does not travel), both complete when `count` is known;
# `frames()`, which may be called again; `encode` for a segment of finished frames and `join` for all.
Clip: TypeAlias = "Animation | VideoFile"


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
    if kind in KINDS:  # by Pillow
        return Animation(path, out, start, end)
    if kind not in CLIPS:
        known = ", ".join(sorted({*CLIPS, *KINDS}))
        raise UnreadableImage(f"{path} is no clip that can be read by its name; rename it, to: {known}")
    try:
        from .video_files import VideoFile
    except ImportError:
        raise PackageMissing(
            'video files need the package av; install it with: pip install "anonlab[video]" (or: pip '
            "install av)"
        ) from None
    return VideoFile(path, out, start, end)
