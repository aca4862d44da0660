"""Video files by PyAV: every timestamp and every byte of sound as it was, nothing else attached.

Pixels and sound travel, and what a player needs to show and sound them right: orientation, pixel aspect,
colour tags, interlacing, languages, default tracks, the mark of a 360° video. Place, time, device,
titles, chapters, subtitles (drones write their position there), data streams, cover pictures and what an
edit list cuts off do not. Before any work one frame is written with the settings of the result and read
back: what is not as it was in the clip is named in `left_out`.

All frames of a clip get one size, that of its largest picture; a picture of another size, shape or
orientation is fitted into it. Frames are encoded without B-frames, in segments that begin with a key
frame: then packets follow each other in time, and segments can be joined.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputNotWritable, PackageMissing, UnreadableImage
from .encoders import TOP_FIRST, Shape, candidates
from .facts import attached, changed, display_matrix, facts, personal
from .frames import Frame, Segment, enlarged, orientation, patched, stored, upright

MAX_SIDE = 8192
SLOWEST, FASTEST = Fraction(1, 1000), 240  # frames a second; what a file says beyond is no rate
PRIMING = 0.1  # seconds of sound before the first that a decoder needs; what is longer was cut off
# seconds by which a frame of a broadcast comes too early or too late when its clock has begun anew
BACK, JUMP = 0.1, 10.0
MISSING = 0.1  # share of a clip's duration, from which its end counts as lost
SLACK = 0.5  # seconds by which sound may be longer than the picture
SOME = 500  # packets of sound in which every track begins
BT709, LIMITED = 1, 1  # colour matrix and range that RGB becomes
BROADCAST = {"mpegts", "mpeg"}
IN_CONTAINER = {"SPHERICAL", "STEREO3D"}  # what a stream of the same codec can bring along
ENCODED = ("width", "height", "pix_fmt", "framerate", "sample_aspect_ratio", "color_primaries",
           "color_trc", "colorspace", "color_range", "field_order", "extradata")  # fmt: skip


def import_av() -> Any:
    """Import PyAV. Raises `PackageMissing`."""
    os.environ.setdefault("SVT_LOG", "1")  # this encoder prints, whatever the level
    try:
        import av
    except ImportError:
        raise PackageMissing(
            'video files need the package av; install it with: pip install "anonlab[video]" (or: pip '
            "install av)"
        ) from None
    av.logging.set_level(av.logging.PANIC)  # what decoders think of damaged files is in our errors
    return av


@dataclass(frozen=True)
class Decoded:
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
        """The mended time."""
        time = self.next if time is None else time + self.shift
        if self.last is not None:
            away = float((time - self.next) * self.base)
            if self.broadcast and not -BACK < away < JUMP:
                self.shift, time = self.shift + self.next - time, self.next
            time = max(time, self.last + 1)
        self.last, self.next = time, time + (duration or self.step)
        return time


class VideoFile:
    """A video file, of which one picture stream and all sound travel. See `Clip`."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.av = import_av()
        self.path, self.out, self.start, self.end = path, out, start, end
        self.errors = (self.av.error.FFmpegError, ValueError, OverflowError, MemoryError)
        self.lost = 0
        with self._open() as container:
            stream = self._picture(container)
            context = stream.codec_context
            if context is None:
                raise UnreadableImage(f"{path} has pictures of an unknown codec; save it in another one")
            self._check_size(context)
            self.time_base = stream.time_base
            self.origin = (container.start_time or 0) / self.av.time_base
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
        count, last, largest, shapes = 0, 0.0, self.decoded, set()
        for one in self._decoded(damage):
            count, last = count + 1, one.time
            shapes.add(one.shape)
            largest = one if one.shape.area() > largest.shape.area() else largest
        if largest.shape != self.decoded.shape:
            self._settle(largest)
        if len(shapes) > 1:
            self.left_out.append(f"{len(shapes) - 1} other sizes or shapes of the picture")
        self.lost = max(len(damage), self._promised(count, last) - count)
        if self.lost:
            where = f", the first at {damage[0]:.2f} seconds" if damage else ""
            self.left_out.append(f"some {self.lost} frames that cannot be decoded{where}")
        return count

    def frames(self) -> Iterator[Frame]:
        """Decode every wanted frame; its `native` is `(frame, pts, duration)`, ready to be encoded."""
        before, _ = None, self.count  # which settles the size
        for number, one in enumerate(self._decoded([])):
            yield self._frame(one, number, before is not None and one.shape != before)
            before = one.shape

    def _decoded(self, damage: list[float]) -> Iterator[Decoded]:
        """Decode every wanted frame; `damage` gets the time of each that cannot be decoded."""
        clock = Clock(self.time_base, self.broadcast, max(1, round(1 / (self.rate * self.time_base))))
        first_aspect = None
        with self._open() as container:
            stream = self._picture(container)
            context = stream.codec_context
            # a decoder with threads that is left before its last frame may wait for them for ever
            stream.thread_type = "NONE"
            context.flags |= self.av.codec.context.Flags.output_corrupt  # as players do
            aspect = stream.sample_aspect_ratio or Fraction(1)
            if self.start > 0:
                self._seek(container)
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
                    except self.av.error.EOFError:
                        return
                    except self.errors:
                        damage.append(place)
                        continue
                    ended = 0
                    yield from frames
                return
            except self.errors:
                ended += 1
                damage.append(place)

    def _frame(self, one: Decoded, number: int, cut: bool) -> Frame:
        """A frame in the pixel format, size and orientation of the result."""
        native, shape = one.native, self.settings.shape
        if one.shape != shape:
            own, whole = one.shape.upright(), shape.upright()
            wide = own.width * own.aspect / whole.aspect
            scale = min(whole.width / wide, whole.height / own.height)
            size = max(1, round(wide * scale)), max(1, round(own.height * scale))
            width, height = size[::-1] if one.shape.orientation[1] % 2 else size
            part = native.reformat(width=width, height=height, format="rgb24").to_ndarray()
            pixels = np.zeros((whole.height, whole.width, 3), np.uint8)
            top, left = (whole.height - size[1]) // 2, (whole.width - size[0]) // 2
            pixels[top : top + size[1], left : left + size[0]] = upright(part, one.shape.orientation)
            native = np.ascontiguousarray(stored(pixels, shape.orientation))
            native = self.av.VideoFrame.from_ndarray(native, "rgb24")
        if native.format.name != self.settings.pixel_format:
            matrix, full = (self.settings.colours[name] for name in ("colorspace", "color_range"))
            native = native.reformat(
                format=self.settings.pixel_format, dst_colorspace=matrix, dst_color_range=full
            )
            native.colorspace, native.color_range = matrix, full
        if (native.width, native.height) != self.settings.size():
            native = enlarged(native, *self.settings.size())
        pixels = upright(native.to_ndarray(format="rgb24"), shape.orientation)
        times = one.pts, one.native.duration or 0
        return Frame(number, one.time, np.ascontiguousarray(pixels), (native, *times), cut)

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Encode one segment: its packets one after the other, and a table `(N, 4)` of their timestamps,
        durations, sizes and whether they are key frames. Raises `OutputNotWritable`."""
        context, turn = self._context(), self.settings.shape.orientation
        fields = self.settings.marking(self.av, context) if self.settings.fields else None
        packets, times = [], []
        for frame, pixels in frames:
            native, *time = frame.native
            image = patched(native, stored(frame.pixels, turn), stored(pixels, turn))
            # the encoder counts frames: not every codec knows every clock
            image.pts, image.time_base = len(times), context.time_base
            times.append(time)
            with self._writing():
                if fields is not None:
                    fields.push(image)
                    image = fields.pull()
                packets += context.encode(image)
        with self._writing():
            packets += context.encode(None)
            if [one.pts for one in packets] != [*range(len(times))]:
                raise ValueError(f"{self.settings.encoder} does not keep the order of frames")
        table = [(*times[one.pts], one.size, one.is_keyframe) for one in packets]
        data = np.frombuffer(b"".join(map(bytes, packets)), np.uint8)
        header = np.frombuffer(context.extradata or b"", np.uint8)
        return {"table": np.array(table, np.int64), "data": data, "header": header}

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Mux pictures and sound in the order of time. Raises `OutputNotWritable`."""
        self._mux(segments, str(partial))

    def _mux(self, segments: Iterable[Segment], target: Any, most: float = math.inf) -> None:
        """Write segments, and of each sound at most so many packets, to a file or a name."""
        rest = iter(segments)
        first = next(rest)
        shift = 0.0
        if self.start > 0:
            shift = float(int(first["table"][0, 0]) * self.time_base) - self.origin
        options = {"fflags": "+bitexact", "strict": "unofficial"}  # the latter for the mark of 360°
        # ValueError for sound that the container does not take
        with self._open() as source, self._writing(), self.av.open(
            target, "w", container_options=options
        ) as made:  # fmt: skip
            picture = self._picture_target(self._picture(source), made, first["header"].tobytes())
            sounds = {
                index: _named(
                    made.add_stream_from_template(source.streams[index]), source.streams[index]
                )
                for index in self.sounds
            }
            made.start_encoding()
            pictures = self._pictures(itertools.chain([first], rest), picture, shift)
            sound = self._sound(source, sounds, shift, most)
            for _, packet in heapq.merge(pictures, sound, key=lambda pair: pair[0]):
                made.mux_one(packet)

    def _picture_target(self, own: Any, made: Any, header: bytes) -> Any:
        """The picture stream of the result."""
        context = self._context()
        marks = {*attached(self.decoded.native)}
        codec = context.codec.canonical_name
        if codec == self.codec and marks & IN_CONTAINER and "DOVI_METADATA" not in marks:
            stream = made.add_stream_from_template(own, opaque=True)  # which brings the marks along
            context.extradata = header
            for name in ENCODED:
                setattr(stream.codec_context, name, getattr(context, name))
        else:
            stream = made.add_stream(self.settings.encoder, rate=self.settings.rate)
            self.settings.set_up(stream.codec_context, self.av.codec.context.Flags)
        # AVI counts frames
        stream.time_base = 1 / self.rate if self.out.suffix.lower() == ".avi" else self.time_base
        if codec == "hevc" and made.format.name in ("mp4", "mov", "ipod", "3gp"):
            stream.codec_context.codec_tag = "hvc1"  # Apple's players refuse hev1
        stream.set_display_matrix(self.settings.shape.matrix or None)
        return _named(stream, own)

    def _pictures(
        self, segments: Iterable[Segment], stream: Any, shift: float
    ) -> Iterator[tuple[float, Any]]:
        last, clock = -math.inf, stream.time_base
        offset, finer = round(shift / self.time_base), self.time_base / clock
        for segment in segments:
            data, at = segment["data"].tobytes(), 0
            for pts, duration, size, key in segment["table"].tolist():
                packet = self.av.Packet(data[at : at + size])
                at += size
                packet.stream = stream
                last = max(round((pts - offset) * finer), last + 1)
                packet.pts = packet.dts = last
                packet.time_base, packet.is_keyframe = clock, bool(key)
                packet.duration = round(duration * finer)
                yield float(last * clock), packet

    def _sound(
        self, source: Any, sounds: dict[int, Any], shift: float, most: float
    ) -> Iterator[tuple[float, Any]]:
        if not sounds:
            return
        if self.start > 0:
            self._seek(source)
        counts, clocks, cut_off = dict.fromkeys(sounds, 0), {}, dict.fromkeys(sounds, False)
        packets = source.demux(*(source.streams[index] for index in sounds))
        for number in itertools.count():
            try:
                packet = next(packets, None)
            except self.errors:  # damage: what was read so far is all there is
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
            mended = clocks.setdefault(index, Clock(clock, self.broadcast))
            dts = mended(packet.dts, packet.duration)
            time = float(dts * clock) - self.origin
            if time >= self.end:
                return
            if self.start > 0 and time < self.start:
                continue
            late = 0 if packet.pts is None else max(0, packet.pts - packet.dts)
            packet.dts = dts - round(shift / clock)
            packet.pts = packet.dts + late
            packet.stream = sounds[index]
            counts[index] += 1
            yield time - shift, packet

    def _seek(self, container: Any) -> None:
        with contextlib.suppress(*self.errors):  # a file that cannot seek is read from its beginning
            container.seek(int((self.start + self.origin) * self.av.time_base))

    def _open(self) -> Any:
        try:
            return self.av.open(str(self.path), metadata_errors="replace")
        except (*self.errors, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableImage(
                f"{self.path} is damaged or not a video ({reason}); open and save it again in a video "
                f"editor"
            ) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, why: object) -> OutputNotWritable:
        return OutputNotWritable(
            f"{self.out} cannot be written ({why}); choose another ending, such as .mkv"
        )

    def _check_size(self, picture: Any) -> None:
        if max(picture.width, picture.height) > MAX_SIDE:
            raise UnreadableImage(
                f"{self.path} is larger than {MAX_SIDE} pixels on a side; scale it down"
            )

    def _picture(self, container: Any) -> Any:
        """The first stream of moving pictures that players show."""
        kinds = self.av.stream.Disposition
        still = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
        moving = [one for one in container.streams.video if not one.disposition & still]
        if not moving:
            raise UnreadableImage(f"{self.path} has no moving picture; name a video")
        return next((one for one in moving if one.disposition & kinds.default), moving[0])

    def _sounds(self, container: Any) -> list[int]:
        """Indices of the sound that travels: what plays, and what is in another language; not what is
        hidden, and not what FFmpeg does not know."""
        default = self.av.stream.Disposition.default
        known = [one for one in container.streams.audio if one.codec_context is not None]
        playing = [one for one in known if one.disposition & default] or known
        heard = {"und", *map(_language, playing)}
        return [one.index for one in known if one in playing or _language(one) not in heard]

    def _promised(self, count: int, last: float) -> int:
        """How many frames the file says it has, where that can be trusted; else `count`, those that are
        there, up to `last` seconds."""
        with self._open() as container:
            stream, mp4 = self._picture(container), "mp4" in container.format.name
            entries, whole = stream.index_entries, self.start <= 0 and math.isinf(self.end)
            if mp4 and whole and stream.frames == len(entries):
                return sum(not one.is_discard for one in entries)
            total, longer = _duration(stream), 0.0
            if total is None and container.duration:  # which may be that of the sound
                total, longer = container.duration / self.av.time_base, SLACK
            if mp4 or self.broadcast or total is None:
                return count
            wanted = min(self.end, total) - self.start
            frames, share = round(wanted * self.rate), 1 - MISSING
            short = last - self.start + longer < share * wanted and count < share * frames
            return frames if short else count

    def _settle(self, one: Decoded) -> None:
        """Choose how the result is encoded, by writing a frame and reading it back. Raises
        `OutputNotWritable`."""
        self.decoded, native = one, one.native
        with self._open() as container:
            stream = self._picture(container)
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
        failed = self._cannot_write("no encoder fits")
        for settings in candidates(
            self.av, self.out.suffix.lower(), self.codec, native.format, one.shape,
            order if native.interlaced_frame else 0, self.rate, colours,
        ):  # fmt: skip
            self.settings = settings
            try:
                after = self._tried(one)
            except OutputNotWritable as error:
                failed = error
                continue
            shape = settings.shape
            if after["orientation"] != shape.orientation:  # then the picture itself is turned
                failed = self._cannot_write("it cannot say how the picture is turned")
                continue
            size = f"{shape.width}×{shape.height}"
            before |= {"orientation": shape.orientation, "pixel aspect": shape.aspect, "size": size}
            self.left_out = [*self.behind, *changed(before, after)]
            return
        raise failed

    def _tried(self, one: Decoded) -> dict[str, object]:
        """The facts of a file with one frame and the beginning of the sound."""
        frame = self._frame(one, 0, False)
        file = io.BytesIO()
        file.name = self.out.name
        self._mux([self.encode([(frame, frame.pixels)])], file, 1)
        file.seek(0)
        with self._writing(), self.av.open(file, metadata_errors="replace") as made:
            stream = self._picture(made)
            stream.thread_type = "NONE"
            shown = next(made.decode(stream), None)
            if shown is None:
                raise ValueError(f"{self.settings.encoder} gives nothing to decode")
            return facts(made, shown, stream, [sound.index for sound in made.streams.audio])

    def _context(self) -> Any:
        with self._writing():
            context = self.av.CodecContext.create(self.settings.encoder, "w")
            self.settings.set_up(context, self.av.codec.context.Flags)
            return context


def _duration(stream: Any) -> float | None:
    """Seconds of a stream; None where the file says nothing of it."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    with contextlib.suppress(ValueError):  # a tag of Matroska, as 0:00:02.5
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
        return 3600 * hours + 60 * minutes + seconds
    return None


def _language(stream: Any) -> str:
    return stream.metadata.get("language", "und")


def _named(stream: Any, own: Any) -> Any:
    """A stream of the result with the language and the role of the clip's, and nothing else."""
    stream.metadata.clear()
    if _language(own) != "und":
        stream.metadata["language"] = _language(own)
    stream.disposition = own.disposition
    return stream
