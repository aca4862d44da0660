"""Video files by PyAV: every timestamp and every byte of sound as it was, nothing else attached.

Pixels and sound travel. Place, time, device, titles, chapters, subtitles (drones write their position
there), data streams and cover pictures do not; rotation, pixel aspect and colour tags do, because
without them the picture looks wrong.

Frames are encoded without B-frames, in segments that begin with a key frame: then packets follow each
other in time, and segments can be joined.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputNotWritable, PackageMissing, UnreadableImage
from .clips import Frame, Segment
from .planes import PLANAR, patched

MAX_SIDE = 8192
# Encoder of each codec, where its own is not the one to take, and how it is set: visually without loss,
# and in the order of time.
ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
}
ENCODERS |= {name: name for name in ("mpeg4", "mjpeg", "ffv1", "mpeg2video", "huffyuv", "utvideo")}
OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "medium", "bf": "0"},
    "libx265": {"crf": "19", "preset": "medium", "x265-params": "bframes=0:log-level=none"},
    "libvpx": {"crf": "8", "b": "40M", "auto-alt-ref": "0", "lag-in-frames": "0", "cpu-used": "3"},
    "libvpx-vp9": {"crf": "22", "b": "0", "auto-alt-ref": "0", "lag-in-frames": "0", "cpu-used": "4"},
    "libsvtav1": {"crf": "24", "preset": "8", "svtav1-params": "pred-struct=1"},
    "mpeg4": {"qscale": "2", "bf": "0"},
    "mjpeg": {"qscale": "2"},
    "mpeg2video": {"qscale": "2", "bf": "0"},
}
FALLBACK = {".webm": "libvpx-vp9", ".mpg": "mpeg2video", ".mpeg": "mpeg2video", ".ogv": "libvpx"}
MPEG4_CLOCK = 65535  # the finest that this codec can say
QUALITY_UNIT = 118  # FF_QP2LAMBDA


def import_av() -> Any:
    """PyAV. Raises `PackageMissing`."""
    try:
        import av
    except ImportError:
        raise PackageMissing(
            'video files need the package av; install it with: pip install "anonlab[video]" (or: pip '
            "install av)"
        ) from None
    av.logging.set_level(av.logging.PANIC)  # what decoders think of damaged files is in our errors
    return av


class VideoFile:
    """A video file, of which one picture stream and all sound travel. See `Clip`."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.av = import_av()
        self.path, self.out, self.start, self.end = path, out, start, end
        with self._open() as container:
            if not container.streams.video:
                raise UnreadableImage(f"{path} has no picture; name a video")
            stream = self._picture(container)
            context = stream.codec_context
            if max(context.width, context.height) > MAX_SIDE:
                raise UnreadableImage(
                    f"{path} is larger than {MAX_SIDE} pixels on a side; scale it down"
                )
            self.time_base = stream.time_base
            self.origin = (container.start_time or 0) / self.av.time_base
            self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.codec, self.format = (
                context.codec.canonical_name,
                context.format.name if context.format else "",
            )
            self.aspect = stream.sample_aspect_ratio
            self.colours = (context.color_primaries, context.color_trc)
            self.count = self._expected(container, stream)
            self.left_out = sorted(_left_out(container, stream))
        self.encoder = self._encoder()
        self.pixel_format = self._pixel_format()

    def frames(self) -> Iterator[Frame]:
        """Every wanted frame; its `native` is the frame itself in a planar format.

        Times that are missing, equal or go backwards are mended, because encoders refuse them.
        """
        step = max(1, round(1 / (self.rate * self.time_base)))
        last, number = None, 0
        with self._open() as container:
            stream = self._picture(container)
            # a decoder with threads that is left before its last frame may wait for them for ever
            stream.thread_type = "NONE"
            if self.start > 0:
                container.seek(int((self.start + self.origin) * self.av.time_base))
            try:
                for native in container.decode(stream):
                    pts = native.pts
                    if pts is None:
                        pts = 0 if last is None else last + step
                    elif last is not None and pts <= last:
                        pts = last + 1  # two frames at once, or time that goes backwards
                    last = pts
                    time = float(pts * self.time_base) - self.origin
                    if time < self.start - 1e-9:
                        continue
                    if time >= self.end - 1e-9:
                        return
                    yield self._frame(native, number, pts, time)
                    number += 1
            except self.av.error.FFmpegError as error:
                if not number:
                    raise self._unreadable(error) from None
                rest = f"what follows a damaged place at {float(last * self.time_base):.2f} seconds"
                if rest not in self.left_out:  # players stop there too
                    self.left_out.append(rest)

    def _frame(self, native: Any, number: int, pts: int, time: float) -> Frame:
        turn = native.rotation
        duration = native.duration
        if native.format.name != self.pixel_format:
            native = native.reformat(format=self.pixel_format)
        native.pts, native.time_base, native.duration = pts, self.time_base, duration
        pixels = native.to_ndarray(format="rgb24")
        turns = round(turn / 90) % 4  # counter-clockwise, as numpy turns
        return Frame(number, time, np.ascontiguousarray(np.rot90(pixels, turns)), (native, turns))

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """One segment: its packets one after the other, and a table `(N, 4)` of their timestamps,
        durations, sizes and whether they are key frames."""
        context, packets, durations = None, [], {}
        for frame, pixels in frames:
            native, turns = frame.native
            if context is None:
                context = self._context(native.width, native.height)
            before, after = (np.rot90(one, -turns) for one in (frame.pixels, pixels))
            durations[native.pts] = native.duration
            packets += context.encode(patched(native, before, after))
        packets += context.encode(None)
        table = [(one.pts, durations[one.pts], one.size, one.is_keyframe) for one in packets]
        data = np.frombuffer(b"".join(map(bytes, packets)), np.uint8)
        size = np.array([native.width, native.height, turns])
        return {"table": np.array(table, np.int64), "data": data, "picture": size}

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Mux pictures and sound in the order of time. Raises `OutputNotWritable`."""
        rest = iter(segments)
        first = next(rest)
        width, height, turns = first["picture"].tolist()
        begin = int(first["table"][0, 0])
        shift = float(begin * self.time_base) - self.origin if self.start > 0 else 0.0
        options = {"fflags": "+bitexact"}
        av = self.av
        try:
            with (
                self._open() as source,
                av.open(str(partial), "w", container_options=options) as target,
            ):
                picture = target.add_stream(self.encoder, rate=self.rate)
                self._set_up(picture.codec_context, width, height)
                if turns:
                    picture.set_display_rotation(90 * turns)
                sounds = {
                    stream.index: target.add_stream_from_template(stream)
                    for stream in source.streams.audio
                }
                for stream in sounds.values():
                    language = stream.metadata.get("language")
                    stream.metadata.clear()
                    if language:
                        stream.metadata["language"] = language
                target.start_encoding()
                pictures = self._pictures(itertools.chain([first], rest), picture, shift)
                sound = self._sound(source, sounds, shift)
                for _, packet in heapq.merge(pictures, sound, key=lambda pair: pair[0]):
                    target.mux_one(packet)
        except (av.error.FFmpegError, ValueError) as error:  # the latter for sound that does not fit
            raise OutputNotWritable(
                f"{self.out} cannot be written ({error}); choose another ending, such as .mkv"
            ) from None

    def _pictures(
        self, segments: Iterable[Segment], stream: Any, shift: float
    ) -> Iterator[tuple[float, Any]]:
        offset = round(shift / self.time_base)
        for segment in segments:
            data, at = segment["data"].tobytes(), 0
            for pts, duration, size, key in segment["table"].tolist():
                packet = self.av.Packet(data[at : at + size])
                at += size
                packet.stream = stream
                packet.pts = packet.dts = pts - offset
                packet.time_base, packet.is_keyframe = self.time_base, bool(key)
                packet.duration = duration
                yield float(packet.pts * self.time_base), packet

    def _sound(self, source: Any, sounds: dict[int, Any], shift: float) -> Iterator[tuple[float, Any]]:
        if not sounds:
            return
        if self.start > 0:
            source.seek(int((self.start + self.origin) * self.av.time_base))
        for packet in source.demux(*source.streams.audio):
            if packet.dts is None:
                continue
            time = float(packet.dts * packet.time_base) - self.origin
            if time >= self.end:
                break
            if self.start > 0 and time < self.start:
                continue
            offset = round(shift / packet.time_base)
            packet.dts -= offset
            packet.pts = packet.pts - offset if packet.pts is not None else packet.dts
            packet.stream = sounds[packet.stream_index]
            yield time - shift, packet

    def _open(self) -> Any:
        try:
            return self.av.open(str(self.path))
        except (self.av.error.FFmpegError, OSError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UnreadableImage:
        reason = getattr(error, "strerror", None) or error
        return UnreadableImage(
            f"{self.path} is damaged or not a video ({reason}); open and save it again in a video editor"
        )

    def _picture(self, container: Any) -> Any:
        """The first stream of pictures that is not a cover."""
        cover = self.av.stream.Disposition.attached_pic
        moving = [one for one in container.streams.video if not one.disposition & cover]
        if not moving:
            raise UnreadableImage(f"{self.path} has no moving picture; name a video")
        return moving[0]

    def _expected(self, container: Any, stream: Any) -> int | None:
        total = float(container.duration / self.av.time_base) if container.duration else None
        if total is None:
            return stream.frames or None
        wanted = max(0.0, min(self.end, total) - self.start)
        frames = stream.frames or total * float(self.rate)
        return max(1, round(frames * wanted / total)) if total else None

    def _encoder(self) -> str:
        """What encodes for the output: the clip's own codec where its container takes it."""
        ending = self.out.suffix.lower()
        wanted = ENCODERS.get(self.codec)
        if ending in FALLBACK and (ending != ".webm" or self.codec not in ("vp8", "vp9", "av1")):
            wanted = FALLBACK[ending]
        if wanted == "mpeg4" and self.time_base.denominator > MPEG4_CLOCK:
            wanted = None
        return wanted or "libx264"

    def _pixel_format(self) -> str:
        """The clip's own where it is planar and the encoder takes it, else the usual one."""
        taken = [one.name for one in self.av.Codec(self.encoder, "w").video_formats or []]
        fits = [name for name in (self.format, "yuv420p", "yuvj420p", *PLANAR) if name in PLANAR]
        return next(name for name in fits if name in taken or not taken)

    def _context(self, width: int, height: int) -> Any:
        context = self.av.CodecContext.create(self.encoder, "w")
        self._set_up(context, width, height)
        return context

    def _set_up(self, context: Any, width: int, height: int) -> None:
        flags = self.av.codec.context.Flags
        context.width, context.height, context.pix_fmt = width, height, self.pixel_format
        context.time_base, context.framerate = self.time_base, self.rate
        if self.aspect:
            context.sample_aspect_ratio = self.aspect
        context.color_primaries, context.color_trc = self.colours
        context.flags |= flags.global_header | flags.bitexact
        options = dict(OPTIONS.get(self.encoder, {}))
        if "qscale" in options:
            context.flags |= flags.qscale
            context.global_quality = QUALITY_UNIT * int(options.pop("qscale"))
        context.options = options


def _left_out(container: Any, picture: Any) -> Iterator[str]:
    """What a file has and the output will not, in words."""
    technical = {
        "major_brand",
        "minor_version",
        "compatible_brands",
        "encoder",
        "handler_name",
        "vendor_id",
    }
    technical |= {"language", "duration", "rotate", "number_of_frames", "number_of_bytes", "bps"}
    tags = {*container.metadata}.union(*(one.metadata for one in container.streams))
    personal = sorted(tag for tag in tags if tag.lower() not in technical)
    if personal:
        yield f"metadata ({', '.join(personal)})"
    if container.chapters():
        yield "chapters"
    for stream in container.streams:
        if stream.type != "audio" and stream.index != picture.index:
            yield f"stream {stream.index} ({stream.type})"
