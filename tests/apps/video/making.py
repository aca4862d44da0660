"""Clips for the tests, made from still pictures with a known motion, and a generator of one face."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from anonlab.apps.video.clips import open_clip
from anonlab.images import resize

CLOCK = Fraction(1, 12800)
STEP = 512  # of that clock: 25 frames a second
Motion = Callable[[float], tuple[float, float, float, float]]


def filmed(stills: Sequence[tuple[Image.Image, Motion]], size: tuple[int, int], count: int) -> list:
    """`count` frames `(H, W, 3)` of stills that move: each has a function from 0–1 to x, y, side and
    degrees. The later ones are in front."""
    y, x = np.mgrid[: size[1], : size[0]]
    wall = np.stack([90 + x % 40, 80 + y % 30, np.full_like(x, 110)], 2).astype(np.uint8)
    frames = []
    for number in range(count):
        frame = Image.fromarray(wall)
        for still, motion in stills:
            x, y, side, turn = motion(number / max(count - 1, 1))
            head = still.resize((round(side), round(side)), Image.Resampling.LANCZOS).convert("RGBA")
            c, s, half = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn)), head.width / 2
            matrix = (c, s, half - c * x - s * y, -s, c, half + s * x - c * y)
            head = head.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
            frame.paste(head, (0, 0), head)
        frames.append(np.asarray(frame))
    return frames


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    turn: tuple[int, bool] = (0, False),
    sound: str | None = None,
    metadata: dict[str, str] | None = None,
    context: dict[str, object] | None = None,
    languages: Sequence[str] = ("und",),
    container: dict[str, str] | None = None,
) -> Path:
    """Write frames as a video, shown at `times` in `CLOCK`, and perhaps tones by an encoder `sound`.

    `turn` is what a player does, in degrees and whether it mirrors; `context` are further settings of
    the encoder, `container` those of the container. `metadata` is also that of a chapter. The last of
    several `languages` is the default.
    """
    times = times or [STEP * number for number in range(len(frames))]
    with av.open(str(path), "w", container_options=container or {}) as out:
        if metadata:
            out.metadata.update(metadata)
            chapter = {"id": 1, "start": 0, "end": STEP, "time_base": CLOCK, "metadata": metadata}
            out.set_chapters([chapter])
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        clock = Fraction(1, 25) if codec == "mpeg2video" else CLOCK  # it knows no finer one
        stream.pix_fmt, stream.codec_context.time_base = pixel_format, clock
        stream.codec_context.options = options or {}
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        if any(turn):
            stream.set_display_rotation(turn[0], hflip=turn[1])
        tones = [out.add_stream(sound, rate=48000) for _ in languages] if sound else []
        for tone, language in zip(tones, languages, strict=False):
            tone.layout, tone.metadata["language"] = "mono", language
            tone.disposition = int(language == languages[-1])
        for pixels, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts = round(time * CLOCK / clock)
            frame.time_base = clock
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        begin = round(min(times[0], 0) * CLOCK * 48000)
        seconds = float((times[-1] + STEP) * CLOCK)
        for tone in tones:
            wave = np.sin(np.arange(int(48000 * seconds) - begin) * 0.06 + 1e-5 * tone.index)
            samples = (wave * 12000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
            out.mux([*tone.encode(frame), *tone.encode()])
    return path


def remux(path: Path, out: Path, matrix: tuple[int, bool]) -> None:
    """Copy the picture of a broadcast, whose clock may begin anew, and turn it for players."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.set_display_rotation(matrix[0], hflip=matrix[1])
        number = 0
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts = packet.dts = number * 3600
                packet.stream, number = stream, number + 1
                target.mux(packet)


def through(path, out, change=lambda pixels: pixels, segment=3, **part):
    """Write a clip's frames, changed, in segments of so many; returns the `Clip`."""
    clip = open_clip(path, out, **part)
    frames = list(clip.frames())
    groups = [frames[at : at + segment] for at in range(0, len(frames), segment)]
    clip.join([clip.encode((one, change(one.pixels)) for one in group) for group in groups], out)
    return clip


def decoded(path: Path) -> tuple[list[float], np.ndarray]:
    """Times in seconds and pixels `(N, H, W, 3)`, as a player gets them without turning."""
    with av.open(str(path)) as clip:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in clip.decode(video=0)]
    times, pixels = zip(*frames, strict=True)
    return [*times], np.stack(pixels)


def apart(frames: np.ndarray, others: np.ndarray) -> float:
    """The largest of the mean differences of two times `(N, H, W, 3)`."""
    assert frames.shape == others.shape
    return np.abs(frames.astype(int) - others).mean((1, 2, 3)).max()


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Times and bytes of all sound."""
    with av.open(str(path)) as clip:
        packets = [one for one in clip.demux(audio=0) if one.dts is not None]
        return [(float(one.pts * one.time_base), bytes(one)) for one in packets]


class OneFace:
    """A generator that knows one face, a little brighter or darker by its codes."""

    def __init__(self, generator, picture):
        self.generator, self.picture = generator, picture

    def __getattr__(self, name):
        return getattr(self.generator, name)

    def rough(self):
        return self

    def synthesis(self, ws, resolution=None):
        return resize(self.picture, resolution or 1024) + 0.02 * ws.mean((1, 2))[:, None, None, None]
