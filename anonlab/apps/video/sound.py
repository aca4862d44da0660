"""Times of a stream as they should be, and the sound of a clip with these times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from .encoders import ERRORS

# seconds by which a frame of a broadcast comes too early or too late when its clock has begun anew
BACK, JUMP = 0.1, 10.0
PRIMING = 0.1  # seconds of sound before the first that a decoder needs; what is longer was cut off
SOME = 500  # packets of sound in which every track begins


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
    """Packets of a clip's sound with their seconds, for the streams `sounds` of the result by their
    index in the container `source`; `shift` seconds earlier, and at most so many of each."""
    if not sounds:
        return
    if clip.start > 0:
        clip.seek(source)
    counts, clocks, cut_off = dict.fromkeys(sounds, 0), {}, dict.fromkeys(sounds, False)
    packets = source.demux(*(source.streams[index] for index in sounds))
    for number in itertools.count():
        try:
            packet = next(packets, None)
        except ERRORS:  # damage: what was read so far is all there is
            return
        if packet is None or (most < math.inf and (min(counts.values()) >= most or number > SOME)):
            return
        index, clock = packet.stream_index, packet.time_base
        if packet.dts is None or counts[index] >= most:
            continue
        # what an edit list cut off begins long before; what a decoder needs first, only just
        primes = -PRIMING <= float(packet.dts * clock) < 0
        cut_off[index] |= packet.is_discard and not primes
        if (packet.is_discard and not primes) or (cut_off[index] and packet.dts < 0):
            continue
        mended = clocks.setdefault(index, Clock(clock, clip.broadcast))
        dts = mended(packet.dts, packet.duration)
        time = float(dts * clock) - clip.origin
        if time >= clip.end:
            return
        if clip.start > 0 and time < clip.start:
            continue
        late = 0 if packet.pts is None else max(0, packet.pts - packet.dts)
        packet.dts = dts - round(shift / clock)
        packet.pts = packet.dts + late
        packet.stream = sounds[index]
        counts[index] += 1
        yield time - shift, packet
