"""The result of a video file, written by PyAV with one way to encode it.

Frames are encoded without B-frames, in segments that begin with a key frame: then packets follow each
other in time, and segments can be joined.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import itertools
import math
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from ...errors import OutputNotWritable
from .facts import facts, language
from .frames import Clock, Decoded, Frame, Segment, Shape, patched, sample_type, stored

os.environ.setdefault("SVT_LOG", "1")  # this encoder prints, whatever the level
CODECS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FALLBACK = CODECS.pop("fallback")  # codecs by the ending of the result; else H.264
STRICT = {ending for one in CODECS.values() for ending in one.get("shown_in", ())}
SOME = 500  # packets of sound in which every track begins
BT709, LIMITED = 1, 1  # colour matrix and range that RGB becomes
PRIMING = 0.1  # seconds of sound before the first that a decoder needs; what is longer was cut off
ERRORS = (av.error.FFmpegError, ValueError, OverflowError, MemoryError)  # what PyAV raises
av.logging.set_level(av.logging.PANIC)  # what decoders think of damaged files is in our errors


class Writer:
    """Encode and mux the frames of a `clip` (`VideoFile`), of which `first` is one, in a `shape`, by a
    `codec` of the table; its own keeps the pixel format. Methods raise `OutputNotWritable`."""

    def __init__(self, clip: Any, first: Decoded, codec: str, shape: Shape):
        self.clip, self.first, self.shape = clip, first, shape
        self.encoder = CODECS[codec].get("encoder", codec)
        self.options = CODECS[codec].get("options", {})
        native, own = first.native, codec == clip.codec
        self.pixel_format = _pixel_format(self.encoder, native.format) if own else "yuv420p"
        rgb = native.format.is_rgb or native.format.has_palette
        self.colours = {
            "color_primaries": native.color_primaries,
            "color_trc": native.color_trc,
            "colorspace": BT709 if rgb else native.colorspace,
            "color_range": LIMITED if rgb else native.color_range,
        }

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Encode one segment: its packets one after the other, and a table `(N, 4)` of their timestamps,
        durations, sizes and whether they are key frames."""
        turn, packets, times = self.shape.orientation, [], []
        with self._writing():
            context = av.CodecContext.create(self.encoder, "w")
            self._set_up(context)
            for frame, pixels in frames:
                native, *time = frame.native
                image = patched(native, stored(frame.pixels, turn), stored(pixels, turn))
                # the encoder counts frames: not every codec knows every clock
                image.pts, image.time_base = len(times), context.time_base
                times.append(time)
                packets += context.encode(image)
            packets += context.encode(None)
            if [one.pts for one in packets] != [*range(len(times))]:
                raise ValueError(f"{self.encoder} does not keep the order of frames")
        table = [(*times[one.pts], one.size, one.is_keyframe) for one in packets]
        data = np.frombuffer(b"".join(map(bytes, packets)), np.uint8)
        return {"table": np.array(table, np.int64), "data": data}

    def mux(self, segments: Iterable[Segment], target: Any, most: float = math.inf) -> None:
        """Write segments and sound, of which at most so many packets are read, to a file or a name, in
        the order of time."""
        clip, rest, shift = self.clip, iter(segments), 0.0
        first = next(rest)
        if clip.start > 0:
            shift = float(int(first["table"][0, 0]) * clip.time_base) - clip.origin
        # ValueError for sound that the container does not take
        with clip.open() as source, self._writing(), av.open(
            target, "w", container_options={"fflags": "+bitexact"}
        ) as made:  # fmt: skip
            own, stream = clip.picture(source), made.add_stream(self.encoder, rate=clip.rate)
            self._set_up(stream.codec_context)
            # AVI counts frames
            stream.time_base = 1 / clip.rate if clip.out.suffix.lower() == ".avi" else clip.time_base
            if self.encoder == "libx265" and made.format.name in ("mp4", "mov", "ipod", "3gp"):
                stream.codec_context.codec_tag = "hvc1"  # Apple's players refuse hev1
            stream.set_display_matrix(self.shape.matrix or None)
            _name(stream, own)
            sounds = {one: made.add_stream_from_template(source.streams[one]) for one in clip.sounds}
            for index, sound in sounds.items():
                _name(sound, source.streams[index])
            made.start_encoding()
            pictures = self._packets(itertools.chain([first], rest), stream, shift)
            packets = self._sound(source, sounds, shift, most)
            for _, packet in heapq.merge(pictures, packets, key=lambda pair: pair[0]):
                made.mux_one(packet)

    def tried(self) -> dict[str, object]:
        """Read the facts of a file with one frame and the beginning of the sound."""
        frame = self.clip.frame(self.first)
        file = io.BytesIO()
        file.name = self.clip.out.name
        self.mux([self.encode([(frame, frame.pixels)])], file, SOME)
        file.seek(0)
        with self._writing(), av.open(file, metadata_errors="replace") as made:
            stream = self.clip.picture(made)
            stream.thread_type = "NONE"
            shown = next(made.decode(stream), None)
            if shown is None:
                raise ValueError(f"{self.encoder} gives nothing to decode")
            after = facts(made, shown, stream, [sound.index for sound in made.streams.audio])
            if after["orientation"] != self.shape.orientation:  # then the picture itself is turned
                raise ValueError("it cannot say how the picture is turned")
            return after

    def _set_up(self, context: Any) -> None:
        """Set up a new codec context."""
        flags = av.codec.context.Flags
        context.width, context.height = self.shape.width, self.shape.height
        context.pix_fmt, context.sample_aspect_ratio = self.pixel_format, self.shape.aspect
        context.framerate, context.time_base = self.clip.rate, 1 / self.clip.rate
        for name, value in self.colours.items():
            setattr(context, name, value)
        context.flags |= flags.global_header | flags.bitexact
        context.options = self.options

    def _packets(
        self, segments: Iterable[Segment], stream: Any, shift: float
    ) -> Iterator[tuple[float, Any]]:
        """Give packets of the picture with their seconds."""
        last, clock, base = -math.inf, stream.time_base, self.clip.time_base
        offset, finer = round(shift / base), base / clock
        for segment in segments:
            data, at = segment["data"].tobytes(), 0
            for pts, duration, size, key in segment["table"].tolist():
                packet = av.Packet(data[at : at + size])
                at += size
                packet.stream = stream
                last = max(round((pts - offset) * finer), last + 1)
                packet.pts = packet.dts = last
                packet.time_base, packet.is_keyframe = clock, bool(key)
                packet.duration = round(duration * finer)
                yield float(last * clock), packet

    def _sound(
        self, source: Any, sounds: Mapping[int, Any], shift: float, most: float
    ) -> Iterator[tuple[float, Any]]:
        """Give packets of sound with their seconds, for the streams `sounds` of the result by their
        index in the container `source`; `shift` seconds earlier. At most so many are read."""
        if not sounds:
            return
        clip, clocks, cut_off = self.clip, {}, dict.fromkeys(sounds, False)
        clip.seek(source)
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

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            raise OutputNotWritable(
                f"{self.clip.out} cannot be written ({error}); choose another ending, such as .mkv"
            ) from None


def candidates(clip: Any, first: Decoded) -> Iterator[Writer]:
    """Give ways to encode a `clip` (`VideoFile`) like its frame `first`, best first: its own codec where
    players show it in that container, then one that they do, each with sides as they know them."""
    ending, shape = clip.out.suffix.lower(), first.shape
    shown = ending not in STRICT or ending in CODECS.get(clip.codec, {}).get("shown_in", ())
    own = [clip.codec] if clip.codec in CODECS and shown else []
    shapes = (shape, shape.upright(), shape.even(), shape.upright().even())
    for codec in dict.fromkeys((*own, FALLBACK.get(ending, "h264"))):
        for one in dict.fromkeys(shapes):
            yield Writer(clip, first, codec, one)


def _pixel_format(encoder: str, kind: Any) -> str:
    """Choose the nearest to the clip's own that the encoder takes, with one component a plane."""
    known = [one.name for one in av.Codec(encoder, "w").video_formats or [] if sample_type(one.name)]
    alpha = any(one.is_alpha for one in kind.components)
    best, _ = av.codec.find_best_pix_fmt_of_list(known, kind, alpha)
    return best.name if best else "yuv420p"


def _name(stream: Any, own: Any) -> None:
    """Give a stream of the result the language and the role of the clip's, and nothing else."""
    stream.metadata.clear()
    if language(own) != "und":
        stream.metadata["language"] = language(own)
    stream.disposition = own.disposition
