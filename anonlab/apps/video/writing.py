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
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np

from ...errors import OutputNotWritable
from .encoders import ERRORS, Settings
from .facts import attached, facts, language
from .frames import Frame, Segment, patched, stored
from .sound import sound_packets

IN_CONTAINER = {"SPHERICAL", "STEREO3D"}  # what a stream of the same codec can bring along
ENCODED = ("width", "height", "pix_fmt", "framerate", "sample_aspect_ratio", "color_primaries",
           "color_trc", "colorspace", "color_range", "field_order", "extradata")  # fmt: skip


class Writer:
    """Encode and mux the frames of a `clip` (`VideoFile`) by `settings`, which were made for the frame
    `first` (`Decoded`). Raises `OutputNotWritable`."""

    def __init__(self, clip: Any, settings: Settings, first: Any):
        self.clip, self.settings, self.first = clip, settings, first

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Encode one segment: its packets one after the other, and a table `(N, 4)` of their timestamps,
        durations, sizes and whether they are key frames."""
        context, turn = self._context(), self.settings.shape.orientation
        fields = self.settings.marking(context) if self.settings.fields else None
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

    def mux(self, segments: Iterable[Segment], target: Any, most: float = math.inf) -> None:
        """Write segments, and of each sound at most so many packets, to a file or a name, in the order
        of time."""
        clip, rest, shift = self.clip, iter(segments), 0.0
        first = next(rest)
        if clip.start > 0:
            shift = float(int(first["table"][0, 0]) * clip.time_base) - clip.origin
        options = {"fflags": "+bitexact", "strict": "unofficial"}  # the latter for the mark of 360°
        # ValueError for sound that the container does not take
        with clip.open() as source, self._writing(), av.open(
            target, "w", container_options=options
        ) as made:  # fmt: skip
            picture = self._picture(clip.picture(source), made, first["header"].tobytes())
            sounds = {}
            for index in clip.sounds:
                own = source.streams[index]
                sounds[index] = _named(made.add_stream_from_template(own), own)
            made.start_encoding()
            pictures = self._packets(itertools.chain([first], rest), picture, shift)
            sound = sound_packets(clip, source, sounds, shift, most)
            for _, packet in heapq.merge(pictures, sound, key=lambda pair: pair[0]):
                made.mux_one(packet)

    def tried(self) -> dict[str, object]:
        """The facts of a file with one frame and the beginning of the sound."""
        frame = self.clip.frame(self.first, self.settings)
        file = io.BytesIO()
        file.name = self.clip.out.name
        self.mux([self.encode([(frame, frame.pixels)])], file, 1)
        file.seek(0)
        with self._writing(), av.open(file, metadata_errors="replace") as made:
            stream = self.clip.picture(made)
            stream.thread_type = "NONE"
            shown = next(made.decode(stream), None)
            if shown is None:
                raise ValueError(f"{self.settings.encoder} gives nothing to decode")
            return facts(made, shown, stream, [sound.index for sound in made.streams.audio])

    def _picture(self, own: Any, made: Any, header: bytes) -> Any:
        """The picture stream of the result."""
        clip, context, marks = self.clip, self._context(), {*attached(self.first.native)}
        codec = context.codec.canonical_name
        if codec == clip.codec and marks & IN_CONTAINER and "DOVI_METADATA" not in marks:
            stream = made.add_stream_from_template(own, opaque=True)  # which brings the marks along
            context.extradata = header
            for name in ENCODED:
                setattr(stream.codec_context, name, getattr(context, name))
        else:
            stream = made.add_stream(self.settings.encoder, rate=self.settings.rate)
            self.settings.set_up(stream.codec_context)
        # AVI counts frames
        stream.time_base = 1 / clip.rate if clip.out.suffix.lower() == ".avi" else clip.time_base
        if codec == "hevc" and made.format.name in ("mp4", "mov", "ipod", "3gp"):
            stream.codec_context.codec_tag = "hvc1"  # Apple's players refuse hev1
        stream.set_display_matrix(self.settings.shape.matrix or None)
        return _named(stream, own)

    def _packets(
        self, segments: Iterable[Segment], stream: Any, shift: float
    ) -> Iterator[tuple[float, Any]]:
        """Packets of the picture with their seconds."""
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

    def _context(self) -> Any:
        with self._writing():
            context = av.CodecContext.create(self.settings.encoder, "w")
            self.settings.set_up(context)
            return context

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            raise not_writable(self.clip, error) from None


def not_writable(clip: Any, why: object) -> OutputNotWritable:
    """The error for a result that cannot be written."""
    return OutputNotWritable(
        f"{clip.out} cannot be written ({why}); choose another ending, such as .mkv"
    )


def _named(stream: Any, own: Any) -> Any:
    """A stream of the result with the language and the role of the clip's, and nothing else."""
    stream.metadata.clear()
    if language(own) != "und":
        stream.metadata["language"] = language(own)
    stream.disposition = own.disposition
    return stream
