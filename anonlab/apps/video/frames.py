"""Frames of a clip: how they are stored, timed and shown, and putting changed pixels back into them.

A frame that goes to RGB and back as a whole comes back slightly different everywhere. `patched` replaces
only the samples under changed pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

# seconds by which a frame of a broadcast comes too early or too late when its clock has begun anew
BACK, JUMP = 0.1, 10.0
Segment = Mapping[str, np.ndarray]  # some encoded frames, as arrays that can be kept in a file
Orientation = tuple[bool, int]  # mirrored first, then turned by so many quarters counter-clockwise
COLOURS = 3  # planes; a fourth is alpha
WIDEST = 8  # pixels a side; no sample of colour has more
PLANAR = re.compile(r"(yuv[aj]?\d{3}p|gray|gbra?p)(?P<bits>(9|1[0246])le)?")


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    number: int  # 0 is the first that is wanted
    time: float  # seconds since the clip's beginning
    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright; H and W are the same in all frames of a clip
    native: Any  # as the format has it, for `encode`
    cut: bool = False  # the stream's size, shape or orientation changes before this frame


@dataclass(frozen=True)
class Shape:
    """How a picture is stored: its size in samples, of which each is `aspect` as wide as high."""

    width: int
    height: int
    aspect: Fraction = Fraction(1)
    matrix: tuple[int, ...] = ()  # the display matrix; empty where it turns nothing

    @property
    def orientation(self) -> Orientation:
        """Tell how a player turns it."""
        return orientation(self.matrix)

    def upright(self) -> Shape:
        """Store the same picture as a player shows it."""
        if self.orientation[1] % 2:
            return Shape(self.height, self.width, 1 / self.aspect)
        return replace(self, matrix=())

    def even(self) -> Shape:
        """Make its sides even."""
        return replace(self, width=self.width + self.width % 2, height=self.height + self.height % 2)


class Decoded(NamedTuple):
    """A frame as it comes from the decoder, and its times in the stream's clock and in seconds."""

    native: Any
    pts: int
    time: float
    shape: Shape


class Clock:
    """Mend the times of a stream: missing ones, those that go backwards (encoders and muxers refuse
    them), and those of a broadcast whose clock begins anew. All are in units of `base` seconds."""

    def __init__(self, base: Fraction, broadcast: bool, step: int = 1):
        self.base, self.broadcast, self.step = base, broadcast, step
        self.last: int | None = None
        self.next, self.shift = 0, 0

    def __call__(self, time: int | None, duration: int | None) -> int:
        """Mend the next time."""
        time = self.next if time is None else time + self.shift
        if self.last is not None:
            away = float((time - self.next) * self.base)
            if self.broadcast and not -BACK < away < JUMP:
                self.shift, time = self.shift + self.next - time, self.next
            time = max(time, self.last + 1)
        self.last, self.next = time, time + (duration or self.step)
        return time


def orientation(matrix: Sequence[int]) -> Orientation:
    """Find the nearest of the eight orientations of a display matrix (FFmpeg's 9 numbers, or none)."""
    a, b, _, c, d = matrix[:5] or (1, 0, 0, 0, 1)
    flip = a * d < b * c
    across, up = (d - a, c + b) if flip else (d + a, c - b)
    return flip, round(math.atan2(up, across) / (math.pi / 2)) % 4


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
    """Give the numbers of a pixel format with one component a plane; None for any other."""
    planar = PLANAR.fullmatch(name)
    return planar and (np.uint16 if planar["bits"] else np.uint8)


def patched(frame: Any, before: np.ndarray, after: np.ndarray) -> Any:
    """Change the pixels of a `VideoFrame` that differ between `before` and `after`; returns a new one.

    Its format has a `sample_type`. `before` and `after` are `(H, W, 3)` uint8, the frame's own RGB and
    what it shall be; what lies around the changed pixels is not looked at. A colour sample that several
    pixels share is replaced where one of them has changed. Alpha and colour tags are kept; nothing else
    that is attached to the frame (captions, camera data, thumbnails) is.
    """
    kind, tags = frame.format.name, (frame.colorspace, frame.color_range)
    result = type(frame)(frame.width, frame.height, kind)
    result.colorspace, result.color_range = tags
    for own, target in zip(frame.planes, result.planes, strict=True):
        _samples(target, kind)[:] = _samples(own, kind)
    changed = (before != after).view(np.uint8)
    changed = changed[..., 0] | changed[..., 1] | changed[..., 2]  # eight times as fast as `any(2)`
    lines = [np.flatnonzero(changed.any(axis)) for axis in (1, 0)]
    if not len(lines[0]):
        return result
    # whole samples of colour, of which none is wider or higher
    first = [int(line[0]) // WIDEST * WIDEST for line in lines]
    window = tuple(slice(at, int(line[-1]) + 1) for at, line in zip(first, lines, strict=True))
    part, changed = np.ascontiguousarray(after[window]), changed[window]
    new = type(frame).from_ndarray(part, "rgb24")
    new = new.reformat(format=kind, dst_colorspace=tags[0], dst_color_range=tags[1])
    for fresh, plane in [*zip(new.planes, result.planes, strict=True)][:COLOURS]:
        other, target = _samples(fresh, kind), _samples(plane, kind)
        rows, columns = -(-frame.height // len(target)), -(-frame.width // target.shape[1])
        padded = np.pad(changed, ((0, -len(part) % rows), (0, -part.shape[1] % columns)))
        replaced = padded.reshape(len(other), rows, other.shape[1], columns).any((1, 3))
        place = target[first[0] // rows :, first[1] // columns :][: len(other), : other.shape[1]]
        place[replaced] = other[replaced]
    return result


def _samples(plane: Any, kind: str) -> np.ndarray:
    """View a plane as an array `(height, width)` that shares its memory."""
    return np.frombuffer(plane, sample_type(kind)).reshape(plane.height, -1)[:, : plane.width]
