"""Put changed RGB pixels back into a frame of any pixel format, and leave all its other samples alone.

A frame that goes to RGB and back as a whole comes back slightly different everywhere. Here only the
samples under changed pixels are replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

PLANAR = {  # formats with one component a plane, and their numbers
    **dict.fromkeys(("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"), np.uint8),
    **dict.fromkeys(("gray", "gbrp"), np.uint8),
    **dict.fromkeys(("yuv420p10le", "yuv422p10le", "yuv444p10le"), np.uint16),
}


def patched(frame: av.VideoFrame, before: np.ndarray, after: np.ndarray) -> av.VideoFrame:
    """`frame`, in one of the `PLANAR` formats, with the pixels that differ between `before` and `after`.

    Both are `(H, W, 3)` uint8, the frame's own RGB and what it shall be. A colour sample that several
    pixels share is replaced where one of them has changed. Time and colour tags are kept; nothing else
    that is attached to the frame (captions, camera data) is.
    """
    import av

    name, kind = frame.format.name, PLANAR[frame.format.name]
    changed = (before != after).any(2)
    result = av.VideoFrame(frame.width, frame.height, name)
    new = av.VideoFrame.from_ndarray(np.ascontiguousarray(after), "rgb24").reformat(
        format=name, dst_colorspace=frame.colorspace, dst_color_range=frame.color_range
    )
    for own, other, target in zip(frame.planes, new.planes, result.planes, strict=True):
        rows, columns = -(-frame.height // own.height), -(-frame.width // own.width)
        padded = np.pad(changed, ((0, -frame.height % rows), (0, -frame.width % columns)))
        shape = (own.height, rows, own.width, columns)
        replace = padded.reshape(shape).any((1, 3))
        _samples(target, kind)[:] = np.where(replace, _samples(other, kind), _samples(own, kind))
    result.pts = frame.pts
    if frame.time_base is not None:
        result.time_base = frame.time_base
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    return result


def _samples(plane: av.video.plane.VideoPlane, kind: type) -> np.ndarray:
    """A plane as an array `(height, width)` that shares its memory."""
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
    return rows[:, : plane.width]
