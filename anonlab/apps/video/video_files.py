"""Video files by PyAV: every timestamp and every byte of sound as it was, nothing else attached.

Pixels and sound travel, and what a player needs to show and sound them right: orientation, pixel aspect,
colour tags, languages, default tracks. Place, time, device, titles, chapters, subtitles
(drones write their position there), data streams, cover pictures and what an edit list cuts off do not.
Before any work one frame is written with the settings of the result and read back: what is not as it was
in the clip is named in `left_out`.

All frames of a clip get one size, that of its largest picture; a picture of another size, shape or
orientation is fitted into it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import maximum_filter1d

from ...errors import OutputNotWritable, UnreadableImage
from .facts import changed, display_matrix, facts, language, personal, shown_size
from .frames import Clock, Decoded, Frame, Segment, Shape, stored, upright
from .writing import ERRORS, candidates

MAX_SIDE = 8192
SLOWEST, FASTEST = Fraction(1, 1000), 240  # frames a second; what a file says beyond is no rate
BROADCAST = {"mpegts", "mpeg"}
MISSING = 0.1  # share of a clip's duration, from which its end counts as lost
NEAR = 3  # packets before and after a complaint between which some are missing
SLACK = 0.5  # seconds by which sound may be longer than the picture


class VideoFile:
    """A video file, of which one picture stream and all sound travel. See `Clip`."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.path, self.out, self.start, self.end = path, out, start, end
        self.lost = 0
        with self.open() as container:
            stream = self.picture(container)
            context = stream.codec_context
            if context is None:
                raise UnreadableImage(f"{path} has pictures of an unknown codec; save it in another one")
            self._check_size(context)
            self.time_base = stream.time_base
            self.origin = (container.start_time or 0) / av.time_base
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.rate = rate.limit_denominator(1001) if SLOWEST <= rate <= FASTEST else Fraction(25)
            self.codec = context.codec.canonical_name
            self.broadcast = container.format.name in BROADCAST
            self.sounds = _sounds(container)
            kept = {stream.index, *self.sounds}
            left = [one for one in container.streams if one.index not in kept]
            self.behind = [*personal(container), *(f"stream {one.index} ({one.type})" for one in left)]
        with contextlib.closing(self._decoded([])) as frames:
            first = next(frames, None)
        if first is None:
            raise UnreadableImage(
                f"{path} has no frame in that part that can be decoded; choose another part, or save it "
                f"again in a video editor"
            )
        self._settle(first)

    @cached_property
    def count(self) -> int:
        """Count the frames that are wanted and can be decoded. Reads the clip once, for the damage in it
        and for its largest picture."""
        damage: list[float] = []
        count, largest, shapes = 0, self.writer.first, set()
        for one in self._decoded(damage):
            count += 1
            shapes.add(one.shape)
            largest = max(largest, one, key=lambda one: one.shape.width * one.shape.height)
        if largest.shape != self.writer.first.shape:
            self._settle(largest)
        if len(shapes) > 1:
            self.left_out.append(f"{len(shapes) - 1} other sizes or shapes of the picture")
        self.lost = self._lost_frames(count, len(damage))
        if self.lost:
            where = f", the first at {damage[0]:.2f} seconds" if damage else ""
            self.left_out.append(f"some {self.lost} frames that cannot be decoded{where}")
        return count

    def frames(self) -> Iterator[Frame]:
        """Decode every wanted frame; its `native` is `(frame, pts, duration)`, ready to be encoded."""
        before, _ = None, self.count  # which settles the size
        for number, one in enumerate(self._decoded([])):
            yield self.frame(one, number, before not in (None, one.shape))
            before = one.shape

    def frame(self, one: Decoded, number: int = 0, cut: bool = False) -> Frame:
        """Convert a frame to the pixel format, size and orientation of the result."""
        writer = self.writer
        native, shape, kind = one.native, writer.shape, writer.pixel_format
        if one.shape != shape:
            native = av.VideoFrame.from_ndarray(_fitted(native, one.shape, shape), "rgb24")
        if native.format.name != kind:
            matrix, full = (writer.colours[name] for name in ("colorspace", "color_range"))
            native = native.reformat(format=kind, dst_colorspace=matrix, dst_color_range=full)
            native.colorspace, native.color_range = matrix, full
        pixels = upright(native.to_ndarray(format="rgb24"), shape.orientation)
        times = one.pts, one.native.duration or 0
        return Frame(number, one.time, np.ascontiguousarray(pixels), (native, *times), cut)

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Encode one segment. Raises `OutputNotWritable`."""
        return self.writer.encode(frames)

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Mux pictures and sound in the order of time. Raises `OutputNotWritable`."""
        with partial.open("wb", buffering=0) as file:
            file.name = self.out.name  # whose ending says the format
            self.writer.mux(segments, file)

    def _decoded(self, damage: list[float]) -> Iterator[Decoded]:
        """Decode every wanted frame; `damage` gets the time of each that cannot be decoded."""
        clock, first_aspect = self.clock(), None
        with self.open() as container:
            stream = self.picture(container)
            context = stream.codec_context
            # a decoder with threads that is left before its last frame may wait for them for ever
            stream.thread_type = "NONE"
            context.flags |= av.codec.context.Flags.output_corrupt  # as players do
            aspect = stream.sample_aspect_ratio or Fraction(1)
            self.seek(container)
            for native in self._natives(container, stream, damage):
                pts = clock(native.pts, None)
                time = float(pts * self.time_base) - self.origin
                if time < self.start - 1e-9:
                    continue
                if time >= self.end - 1e-9:
                    return
                self._check_size(native)
                now = context.sample_aspect_ratio or Fraction(1)
                first_aspect = first_aspect or now
                shown = aspect * now / first_aspect
                shape = Shape(native.width, native.height, shown, display_matrix(native))
                yield Decoded(native, pts, time, shape)

    def _natives(self, container: Any, stream: Any, damage: list[float]) -> Iterator[Any]:
        """Go on after damaged packets; after an error of the container too, while packets come."""
        place, ended = 0.0, 0
        while ended < 2:
            try:
                for packet in container.demux(stream):
                    if packet.pts is not None:
                        place = float(packet.pts * self.time_base) - self.origin
                    try:
                        frames = stream.decode(packet)
                    except av.error.EOFError:
                        return
                    except ERRORS:
                        damage.append(place)
                        continue
                    ended = 0
                    yield from frames
                return
            except ERRORS:
                ended += 1
                damage.append(place)

    def _lost_frames(self, count: int, damaged: int) -> int:
        """Estimate how many frames are lost, where `count` can be decoded and so many `damaged` packets
        cannot.

        MP4 and AVI have an index. Of other files as many are missing as fit into the gaps of their times
        where the reader complains, into what no reader gets to (fragments of an MP4 behind a damaged
        one), and between the last and the end that the file promises.
        """
        times, near, last, read, heard, clock = [], [], 0, 1, 0, self.clock()
        whole, size = self.start <= 0 and math.isinf(self.end), self.path.stat().st_size
        with contextlib.ExitStack() as stack:
            av.logging.set_level(av.logging.ERROR)
            stack.callback(av.logging.set_level, av.logging.PANIC)
            said, container = stack.enter_context(av.logging.Capture()), stack.enter_context(self.open())
            stream, kind = self.picture(container), container.format.name
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
        tick, steps = float(self.time_base), np.diff(times)
        places = np.array(times[1:]) * tick - self.origin
        around = maximum_filter1d(near, 2 * NEAR + 1)[1:]
        usual = steps[~around].max(initial=0) or np.median(steps)  # the longest, where times are uneven
        gaps = steps[around & (places >= self.start) & (places < self.end) & (kind != "avi")]
        until = min(self.end, end)
        short = until - (last * tick - self.origin)
        ends_early = short > MISSING * end and count < (1 - MISSING) * (until - self.start) * self.rate
        if not mp4 and not self.broadcast and (ends_early or any(near)):
            gaps = np.append(gaps, short / tick)
        missing = int((np.rint(gaps / usual) - 1).clip(0).sum())
        if whole and kind == "avi":
            missing = max(missing, len(indexed) - len(times))
        if whole and mp4 and size - read > MISSING * read:
            missing += round(len(times) * (size - read) / read)
        return damaged + missing

    def clock(self) -> Clock:
        """Start a clock for the times of the picture."""
        return Clock(self.time_base, self.broadcast, max(1, round(1 / (self.rate * self.time_base))))

    def open(self) -> Any:
        """Open the container. Raises `UnreadableImage`."""
        try:
            return av.open(str(self.path), metadata_errors="replace")
        except (*ERRORS, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableImage(
                f"{self.path} is damaged or not a video ({reason}); open and save it again in a video "
                f"editor"
            ) from None

    def seek(self, container: Any) -> None:
        """Go to the beginning of the part; a file that cannot seek is read from its own."""
        with contextlib.suppress(*ERRORS):
            if self.start > 0:
                container.seek(int((self.start + self.origin) * av.time_base))

    def picture(self, container: Any) -> Any:
        """Find the first moving picture that players show. Raises `UnreadableImage`."""
        kinds = av.stream.Disposition
        still = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
        moving = [one for one in container.streams.video if not one.disposition & still]
        if not moving:
            raise UnreadableImage(f"{self.path} has no moving picture; name a video")
        return next((one for one in moving if one.disposition & kinds.default), moving[0])

    def _check_size(self, picture: Any) -> None:
        if max(picture.width, picture.height) > MAX_SIDE:
            raise UnreadableImage(
                f"{self.path} is larger than {MAX_SIDE} pixels on a side; scale it down"
            )

    def _settle(self, one: Decoded) -> None:
        """Choose how the result is encoded, by writing a frame and reading it back. Raises
        `OutputNotWritable`."""
        with self.open() as container:
            before = facts(container, one.native, self.picture(container), self.sounds)
        before |= shown_size(one.shape)
        for writer in candidates(self, one):
            self.writer = writer
            try:
                self.left_out = [*self.behind, *changed(before, writer.tried())]
                return
            except OutputNotWritable as error:
                failed = error
        raise failed


def _sounds(container: Any) -> list[int]:
    """Choose the sound that travels, by index: what plays, and what is in another language; not what is
    hidden, and not what FFmpeg does not know."""
    default = av.stream.Disposition.default
    known = [one for one in container.streams.audio if one.codec_context is not None]
    playing = [one for one in known if one.disposition & default] or known
    heard = {"und", *map(language, playing)}
    return [one.index for one in known if one in playing or language(one) not in heard]


def _fitted(native: Any, own: Shape, shape: Shape) -> np.ndarray:
    """Put the pixels of a frame of its `own` shape into the middle of a picture of another `shape`."""
    part, whole = own.upright(), shape.upright()
    wide = part.width * part.aspect / whole.aspect
    scale = min(whole.width / wide, whole.height / part.height) if whole != part.even() else 1
    size = max(1, round(wide * scale)), max(1, round(part.height * scale))
    width, height = size[::-1] if own.orientation[1] % 2 else size
    image = upright(native.reformat(width, height, "rgb24").to_ndarray(), own.orientation)
    left, top = (whole.width - size[0]) // 2, (whole.height - size[1]) // 2
    beside = (top, whole.height - size[1] - top), (left, whole.width - size[0] - left), (0, 0)
    pixels = np.pad(image, beside, "edge" if whole == part.even() else "constant")
    return np.ascontiguousarray(stored(pixels, shape.orientation))


def _duration(container: Any, stream: Any) -> float:
    """Read the seconds of a stream; 0 where the file says nothing of it."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    with contextlib.suppress(ValueError):  # a tag of Matroska, as 0:00:02.5
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
        return 3600 * hours + 60 * minutes + seconds
    return (container.duration or 0) / av.time_base - SLACK  # which may be that of the sound
