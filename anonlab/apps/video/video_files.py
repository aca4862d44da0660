"""Video files by PyAV: every timestamp and every byte of sound as it was, nothing else attached.

Pixels and sound travel, and what a player needs to show and sound them right: orientation, pixel aspect,
colour tags, interlacing, languages, default tracks, the mark of a 360° video. Place, time, device,
titles, chapters, subtitles (drones write their position there), data streams, cover pictures and what an
edit list cuts off do not. Before any work one frame is written with the settings of the result and read
back: what is not as it was in the clip is named in `left_out`.

All frames of a clip get one size, that of its largest picture; a picture of another size, shape or
orientation is fitted into it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import maximum_filter1d

from ...errors import OutputNotWritable, UnreadableImage
from .encoders import ERRORS, TOP_FIRST, Settings, Shape, candidates
from .facts import changed, display_matrix, facts, language, personal
from .frames import Frame, Segment, enlarged, orientation, stored, upright
from .sound import Clock
from .writing import Writer, not_writable

MAX_SIDE = 8192
SLOWEST, FASTEST = Fraction(1, 1000), 240  # frames a second; what a file says beyond is no rate
MISSING = 0.1  # share of a clip's duration, from which its end counts as lost
NEAR = 3  # packets before and after a complaint between which some are missing
SLACK = 0.5  # seconds by which sound may be longer than the picture
BT709, LIMITED = 1, 1  # colour matrix and range that RGB becomes
BROADCAST = {"mpegts", "mpeg"}


@dataclass(frozen=True)
class Decoded:
    """A frame as it comes from the decoder, and its times in the stream's clock and in seconds."""

    native: Any
    pts: int
    time: float
    shape: Shape


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
            self.sounds = self._sounds(container)
            kept = {stream.index, *self.sounds}
            left = [one for one in container.streams if one.index not in kept]
            self.behind = [*personal(container), *(f"stream {one.index} ({one.type})" for one in left)]
        frames = self._decoded([])
        first = next(frames, None)
        frames.close()
        if first is None:
            raise UnreadableImage(
                f"{path} has no frame in that part that can be decoded; choose another part, or save it "
                f"again in a video editor"
            )
        self._settle(first)

    @cached_property
    def count(self) -> int:
        """How many frames are wanted and can be decoded. Reads the clip once, for the damage in it and
        for its largest picture."""
        damage: list[float] = []
        count, last, largest, shapes = 0, 0.0, self.writer.first, set()
        for one in self._decoded(damage):
            count, last = count + 1, one.time
            shapes.add(one.shape)
            largest = one if one.shape.area() > largest.shape.area() else largest
        if largest.shape != self.writer.first.shape:
            self._settle(largest)
        if len(shapes) > 1:
            self.left_out.append(f"{len(shapes) - 1} other sizes or shapes of the picture")
        self.lost = max(len(damage) + self._missing(), self._promised(count, last) - count)
        if self.lost:
            where = f", the first at {damage[0]:.2f} seconds" if damage else ""
            self.left_out.append(f"some {self.lost} frames that cannot be decoded{where}")
        return count

    def frames(self) -> Iterator[Frame]:
        """Decode every wanted frame; its `native` is `(frame, pts, duration)`, ready to be encoded."""
        before, _ = None, self.count  # which settles the size
        for number, one in enumerate(self._decoded([])):
            cut = before is not None and one.shape != before
            yield self.frame(one, self.writer.settings, number, cut)
            before = one.shape

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
        clock, first_aspect = self._clock(), None
        with self.open() as container:
            stream = self.picture(container)
            context = stream.codec_context
            # a decoder with threads that is left before its last frame may wait for them for ever
            stream.thread_type = "NONE"
            context.flags |= av.codec.context.Flags.output_corrupt  # as players do
            aspect = stream.sample_aspect_ratio or Fraction(1)
            if self.start > 0:
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
                first_aspect, matrix = first_aspect or now, display_matrix(native)
                shown = aspect * now / first_aspect
                shape = Shape(native.width, native.height, shown, orientation(matrix), matrix)
                yield Decoded(native, pts, time, shape)

    def _clock(self) -> Clock:
        return Clock(self.time_base, self.broadcast, max(1, round(1 / (self.rate * self.time_base))))

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

    def frame(self, one: Decoded, settings: Settings, number: int = 0, cut: bool = False) -> Frame:
        """A frame in the pixel format, size and orientation of the result."""
        native, shape, kind = one.native, settings.shape, settings.pixel_format
        if one.shape != shape:
            native = av.VideoFrame.from_ndarray(_fitted(native, one.shape, shape), "rgb24")
        if native.format.name != kind:
            matrix, full = (settings.colours[name] for name in ("colorspace", "color_range"))
            native = native.reformat(format=kind, dst_colorspace=matrix, dst_color_range=full)
            native.colorspace, native.color_range = matrix, full
        if (native.width, native.height) != settings.size():
            native = enlarged(native, *settings.size())
        pixels = upright(native.to_ndarray(format="rgb24"), shape.orientation)
        times = one.pts, one.native.duration or 0
        return Frame(number, one.time, np.ascontiguousarray(pixels), (native, *times), cut)

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
            container.seek(int((self.start + self.origin) * av.time_base))

    def picture(self, container: Any) -> Any:
        """The first stream of moving pictures that players show. Raises `UnreadableImage`."""
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

    def _sounds(self, container: Any) -> list[int]:
        """Indices of the sound that travels: what plays, and what is in another language; not what is
        hidden, and not what FFmpeg does not know."""
        default = av.stream.Disposition.default
        known = [one for one in container.streams.audio if one.codec_context is not None]
        playing = [one for one in known if one.disposition & default] or known
        heard = {"und", *map(language, playing)}
        return [one.index for one in known if one in playing or language(one) not in heard]

    def _missing(self) -> int:
        """How many packets a damaged file has lost: of an AVI those of its index, of another one as many
        as fit into the gaps of its times where its reader complains, and into what no reader gets to:
        fragments of an MP4 behind a damaged one."""
        logging, times, near, heard, clock, read = av.logging, [], [], 0, self._clock(), 1
        whole, size, last = self.start <= 0 and math.isinf(self.end), self.path.stat().st_size, 0
        logging.set_level(logging.ERROR)
        with logging.Capture() as said, self.open() as container, contextlib.suppress(*ERRORS):
            stream, kind = self.picture(container), container.format.name
            indexed, entries = stream.frames, sum(one.size > 0 for one in stream.index_entries)
            total = _duration(stream) if whole else None
            early = any(who == kind for _, who, _ in said)  # of the seconds that are read to open it
            for packet in container.demux():
                read = max(read, (packet.pos or 0) + packet.size)
                if packet.size and packet.stream_index == stream.index:
                    times.append(clock(packet.dts, packet.duration))
                    last = max(last, packet.pts or 0)
                    told = any(who == kind for _, who, _ in said[heard:])
                    near.append(early or told or packet.is_corrupt)
                    heard = len(said)
        logging.set_level(logging.PANIC)
        if kind == "avi":
            return max(0, entries - len(times)) if whole else 0
        if len(times) < 3 or ("mp4" in kind and indexed):  # whose index is compared with frames
            return 0
        unread = (size - read) / read if whole and "mp4" in kind else 0.0
        behind = round(len(times) * unread) if unread > MISSING else 0
        steps, seconds = np.diff(times), np.array(times[1:]) * float(self.time_base) - self.origin
        damaged = maximum_filter1d(near, 2 * NEAR + 1)[1:]
        usual = steps[~damaged].max(initial=0) or np.median(steps)  # the longest, where times are uneven
        gaps = steps[damaged & (seconds >= self.start) & (seconds < self.end)]
        if total is not None and any(who == kind for _, who, _ in said):
            gaps = np.append(gaps, (total + self.origin) / float(self.time_base) - last)
        return behind + int((np.rint(gaps / usual) - 1).clip(0).sum())

    def _promised(self, count: int, last: float) -> int:
        """How many frames the file says it has, where that can be trusted; else `count`, those that are
        there, up to `last` seconds."""
        with self.open() as container:
            stream, mp4 = self.picture(container), "mp4" in container.format.name
            entries, whole = stream.index_entries, self.start <= 0 and math.isinf(self.end)
            if mp4 and whole and stream.frames == len(entries):
                return sum(not one.is_discard for one in entries)
            total, longer = _duration(stream), 0.0
            if total is None and container.duration:  # which may be that of the sound
                total, longer = container.duration / av.time_base, SLACK
            if mp4 or self.broadcast or total is None:
                return count
            wanted = min(self.end, total) - self.start
            frames, share = round(wanted * self.rate), 1 - MISSING
            short = last - self.start + longer < share * wanted and count < share * frames
            return frames if short else count

    def _settle(self, one: Decoded) -> None:
        """Choose how the result is encoded, by writing a frame and reading it back. Raises
        `OutputNotWritable`."""
        native = one.native
        with self.open() as container:
            stream = self.picture(container)
            before = facts(container, native, stream, self.sounds)
            order = max(stream.codec_context.field_order, TOP_FIRST)  # 0 is unknown, 1 progressive
        if self.codec == "dvvideo":
            order = TOP_FIRST + 1  # it never says
        rgb = native.format.is_rgb or native.format.has_palette
        colours = {
            "color_primaries": native.color_primaries,
            "color_trc": native.color_trc,
            "colorspace": BT709 if rgb else native.colorspace,
            "color_range": LIMITED if rgb else native.color_range,
        }
        failed = not_writable(self, "no encoder fits")
        for settings in candidates(self, one, order if native.interlaced_frame else 0, colours):
            self.writer, shape = Writer(self, settings, one), settings.shape
            try:
                after = self.writer.tried()
            except OutputNotWritable as error:
                failed = error
                continue
            if after["orientation"] != shape.orientation:  # then the picture itself is turned
                failed = not_writable(self, "it cannot say how the picture is turned")
                continue
            size = f"{shape.width}×{shape.height}"
            before |= {"orientation": shape.orientation, "pixel aspect": shape.aspect, "size": size}
            self.left_out = [*self.behind, *changed(before, after)]
            return
        raise failed


def _fitted(native: Any, own: Shape, shape: Shape) -> np.ndarray:
    """The pixels of a frame of its `own` shape in the middle of a picture of another `shape`."""
    part, whole = own.upright(), shape.upright()
    wide = part.width * part.aspect / whole.aspect
    scale = min(whole.width / wide, whole.height / part.height)
    size = max(1, round(wide * scale)), max(1, round(part.height * scale))
    width, height = size[::-1] if own.orientation[1] % 2 else size
    image = native.reformat(width=width, height=height, format="rgb24").to_ndarray()
    pixels = np.zeros((whole.height, whole.width, 3), np.uint8)
    top, left = (whole.height - size[1]) // 2, (whole.width - size[0]) // 2
    pixels[top : top + size[1], left : left + size[0]] = upright(image, own.orientation)
    return np.ascontiguousarray(stored(pixels, shape.orientation))


def _duration(stream: Any) -> float | None:
    """Seconds of a stream; None where the file says nothing of it."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    with contextlib.suppress(ValueError):  # a tag of Matroska, as 0:00:02.5
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
        return 3600 * hours + 60 * minutes + seconds
    return None
