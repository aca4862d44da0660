"""Packets of a video file: their times as they should be, those of the sound, and those lost."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from scipy.ndimage import maximum_filter1d

ERRORS = (av.error.FFmpegError, ValueError, OverflowError, MemoryError)  # what PyAV raises
# seconds by which a frame of a broadcast comes too early or too late when its clock has begun anew
BACK, JUMP = 0.1, 10.0
PRIMING = 0.1  # seconds of sound before the first that a decoder needs; what is longer was cut off
MISSING = 0.1  # share of a clip's duration, from which its end counts as lost
NEAR = 3  # packets before and after a complaint between which some are missing
SLACK = 0.5  # seconds by which sound may be longer than the picture
av.logging.set_level(av.logging.PANIC)  # what decoders think of damaged files is in our errors


class Clock:
    """Mend the times of a stream: missing ones, those that go backwards (encoders and muxers refuse
    them), and those of a broadcast whose clock begins anew. All are in units of `base` seconds."""

    def __init__(self, base: Fraction, broadcast: bool, step: int = 1):
        self.base, self.broadcast, self.step = base, broadcast, step
        self.last: int | None = None
        self.next, self.shift = 0, 0

    def __call__(self, time: int | None, duration: int | None) -> int:
        """The mended time."""
        time = self.next if time is None else time + self.shift
        if self.last is not None:
            away = float((time - self.next) * self.base)
            if self.broadcast and not -BACK < away < JUMP:
                self.shift, time = self.shift + self.next - time, self.next
            time = max(time, self.last + 1)
        self.last, self.next = time, time + (duration or self.step)
        return time


def sound_packets(
    clip: Any, source: Any, sounds: Mapping[int, Any], shift: float, most: float
) -> Iterator[tuple[float, Any]]:
    """Packets of the sound of a `clip` (`VideoFile`) with their seconds, for the streams `sounds` of the
    result by their index in the container `source`; `shift` seconds earlier. At most so many are read.
    """
    if not sounds:
        return
    if clip.start > 0:
        clip.seek(source)
    clocks, cut_off = {}, dict.fromkeys(sounds, False)
    packets = source.demux(*(source.streams[index] for index in sounds))
    while most > 0:
        try:
            packet = next(packets)
        except (StopIteration, *ERRORS):  # at damage, what was read so far is all there is
            return
        index, clock, most = packet.stream_index, packet.time_base, most - 1
        if packet.dts is None:
            continue
        # what an edit list cut off begins long before; what a decoder needs first, only just
        primes = -PRIMING <= float(packet.dts * clock) < 0
        cut_off[index] |= packet.is_discard and not primes
        if (packet.is_discard and not primes) or (cut_off[index] and packet.dts < 0):
            continue
        dts = clocks.setdefault(index, Clock(clock, clip.broadcast))(packet.dts, packet.duration)
        time = float(dts * clock) - clip.origin
        if time >= clip.end:
            return
        if clip.start > 0 and time < clip.start:
            continue
        late = 0 if packet.pts is None else max(0, packet.pts - packet.dts)
        packet.dts = dts - round(shift / clock)
        packet.pts, packet.stream = packet.dts + late, sounds[index]
        yield time - shift, packet


def lost_frames(clip: Any, count: int, damaged: int) -> int:
    """Estimate how many frames a `clip` (`VideoFile`) has lost, of which `count` can be decoded, and so
    many `damaged` packets cannot.

    MP4 and AVI have an index. Of other files as many are missing as fit into the gaps of their times
    where the reader complains, into what no reader gets to (fragments of an MP4 behind a damaged one),
    and between the last and the end that the file promises.
    """
    times, near, last, read, heard, clock = [], [], 0, 1, 0, clip.clock()
    whole, size = clip.start <= 0 and math.isinf(clip.end), clip.path.stat().st_size
    with contextlib.ExitStack() as stack:
        av.logging.set_level(av.logging.ERROR)
        stack.callback(av.logging.set_level, av.logging.PANIC)
        said, container = stack.enter_context(av.logging.Capture()), stack.enter_context(clip.open())
        stream, kind = clip.picture(container), container.format.name
        mp4, entries, end = "mp4" in kind, stream.index_entries, _duration(container, stream)
        indexed = [one for one in entries if one.size and not one.is_discard]
        if mp4 and stream.frames:
            known = whole and stream.frames == len(entries)
            return max(damaged, len(indexed) - count if known else 0)
        early = any(who == kind for _, who, _ in said)  # of the seconds that are read to open it
        stack.enter_context(contextlib.suppress(*ERRORS))
        for packet in container.demux():
            read = max(read, (packet.pos or 0) + packet.size)
            if packet.size and packet.stream_index == stream.index:
                times.append(clock(packet.dts, packet.duration))
                told = any(who == kind for _, who, _ in said[heard:])
                near.append(early or told or packet.is_corrupt)
                last = max(last, packet.pts or 0)
                heard = len(said)
    if len(times) < 3:
        return damaged
    tick, steps = float(clip.time_base), np.diff(times)
    places = np.array(times[1:]) * tick - clip.origin
    around = maximum_filter1d(near, 2 * NEAR + 1)[1:]
    usual = steps[~around].max(initial=0) or np.median(steps)  # the longest, where times are uneven
    gaps = steps[around & (places >= clip.start) & (places < clip.end) & (kind != "avi")]
    until = min(clip.end, end)
    short = until - (last * tick - clip.origin)
    ends_early = short > MISSING * end and count < (1 - MISSING) * (until - clip.start) * clip.rate
    if not mp4 and not clip.broadcast and (ends_early or any(near)):
        gaps = np.append(gaps, short / tick)
    missing = int((np.rint(gaps / usual) - 1).clip(0).sum())
    if whole and kind == "avi":
        missing = max(missing, len(indexed) - len(times))
    if whole and mp4 and size - read > MISSING * read:
        missing += round(len(times) * (size - read) / read)
    return damaged + missing


def _duration(container: Any, stream: Any) -> float:
    """Seconds of a stream; 0 where the file says nothing of it."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    with contextlib.suppress(ValueError):  # a tag of Matroska, as 0:00:02.5
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
        return 3600 * hours + 60 * minutes + seconds
    return (container.duration or 0) / av.time_base - SLACK  # which may be that of the sound
