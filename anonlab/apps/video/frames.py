"""Frames of a clip: orientation, pixel formats, and putting changed pixels back into them.

A frame that goes to RGB and back as a whole comes back slightly different everywhere. `patched` replaces
only the samples under changed pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Segment = Mapping[str, np.ndarray]  # some encoded frames, as arrays that can be kept in a file
Orientation = tuple[bool, int]  # mirrored first, then turned by so many quarters counter-clockwise
COLOURS = 3  # planes; a fourth is alpha
PLANAR = re.compile(r"(yuv[aj]?\d{3}p|gray|gbra?p)(?P<bits>(9|1[0246])le)?")


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    number: int  # 0 is the first that is wanted
    time: float  # seconds since the clip's beginning
    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright; H and W are the same in all frames of a clip
    native: Any  # as the format has it, for `encode`
    cut: bool = False  # the stream's size, shape or orientation changes before this frame


def orientation(matrix: Sequence[int]) -> Orientation:
    """The nearest of the eight orientations of a display matrix (FFmpeg's 9 numbers, or none)."""
    a, b, _, c, d = matrix[:5] or (1, 0, 0, 0, 1)

    def agreement(one: Orientation) -> int:
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[one[1]]
        mirror = -1 if one[0] else 1
        return mirror * (a * cos - b * sin) + c * sin + d * cos

    return max(((flip, turns) for flip in (False, True) for turns in range(4)), key=agreement)


def upright(pixels: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Turn stored pixels `(H, W, …)` as a player shows them."""
    flip, turns = orientation
    return np.rot90(pixels[:, ::-1] if flip else pixels, turns)


def stored(pixels: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Undo `upright`."""
    flip, turns = orientation
    turned = np.rot90(pixels, -turns)
    return turned[:, ::-1] if flip else turned


def sample_type(name: str) -> type | None:
    """The numbers of a pixel format with one component a plane; None for any other format."""
    planar = PLANAR.fullmatch(name)
    return planar and (np.uint16 if planar["bits"] else np.uint8)


def patched(frame: Any, before: np.ndarray, after: np.ndarray) -> Any:
    """Change the pixels of a `VideoFrame` that differ between `before` and `after`; returns a new one.

    Its format has a `sample_type`. `before` and `after` are `(H, W, 3)` uint8, the frame's own RGB and
    what it shall be. A colour sample that several pixels share is replaced where one of them has
    changed. Alpha and colour tags are kept; nothing else that is attached to the frame (captions, camera
    data) is.
    """
    changed = (before != after).any(2)
    new = (
        type(frame)
        .from_ndarray(np.ascontiguousarray(after), "rgb24")
        .reformat(
            format=frame.format.name, dst_colorspace=frame.colorspace, dst_color_range=frame.color_range
        )
    )
    planes = []
    for row, (own, other) in enumerate(zip(frame.planes, new.planes, strict=True)):
        rows, columns = -(-frame.height // own.height), -(-frame.width // own.width)
        padded = np.pad(changed, ((0, -frame.height % rows), (0, -frame.width % columns)))
        replace = padded.reshape(own.height, rows, own.width, columns).any((1, 3)) & (row < COLOURS)
        planes.append(np.where(replace, _samples(frame, other), _samples(frame, own)))
    return _like(frame, frame.width, frame.height, planes)


def enlarged(frame: Any, width: int, height: int) -> Any:
    """Repeat the last column and row of a `VideoFrame` up to a larger size."""
    return _like(frame, width, height, [_samples(frame, plane) for plane in frame.planes])


def _like(frame: Any, width: int, height: int, planes: Sequence[np.ndarray]) -> Any:
    """A new frame of the format and the colour tags of another, of these samples."""
    result = type(frame)(width, height, frame.format.name)
    for samples, target in zip(planes, result.planes, strict=True):
        more = [
            (0, now - was) for now, was in zip((target.height, target.width), samples.shape, strict=True)
        ]
        _samples(frame, target)[:] = np.pad(samples, more, mode="edge")
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    return result


def _samples(frame: Any, plane: Any) -> np.ndarray:
    """A plane as an array `(height, width)` that shares its memory."""
    rows = np.frombuffer(plane, sample_type(frame.format.name)).reshape(plane.height, -1)
    return rows[:, : plane.width]
