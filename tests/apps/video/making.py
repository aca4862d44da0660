"""Clips for the tests, made from still pictures with a known motion, and a generator of one face."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from anonlab.images import resize

CLOCK = Fraction(1, 12800)
STEP = 512  # of that clock: 25 frames a second
COUNTING = ("mpeg2video", "mpeg1video", "zmbv", "wmv2", "flv")  # which know no finer clock
ONE = 1 << 16
MATRICES = {  # display matrices, by whether they mirror and the quarters that they turn then
    (flip, turns): (mirror * -cos * ONE if flip else cos * ONE, (sin if flip else -sin) * ONE, 0,
                    sin * ONE, cos * ONE, 0, 0, 0, 1 << 30)
    for flip, mirror in ((False, 1), (True, 1))
    for turns, (cos, sin) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1)))
}  # fmt: skip
Motion = Callable[[float], tuple[float, float, float, float]]


def placed(
    still: Image.Image, size: tuple[int, int], middle: tuple[float, float], side: float, turn: float = 0
) -> Image.Image:
    """`still` as a square of `side` pixels around `middle`, turned by degrees, on a grey canvas; with an
    alpha channel that is 0 beside it."""
    shown = still.resize((round(side), round(side)), Image.Resampling.LANCZOS).convert("RGBA")
    angle = np.deg2rad(turn)
    c, s = np.cos(angle), np.sin(angle)
    x, y = middle
    half = shown.width / 2
    matrix = (c, s, half - c * x - s * y, -s, c, half + s * x - c * y)
    return shown.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def filmed(stills: Sequence[tuple[Image.Image, Motion]], size: tuple[int, int], count: int) -> list:
    """`count` frames `(H, W, 3)` of stills that move: each has a function from 0–1 to x, y, side and
    degrees. The later ones are in front."""
    width, height = size
    wall = np.zeros((height, width, 3), np.uint8)
    wall[..., 0], wall[..., 1] = 90 + np.arange(width) % 40, (80 + np.arange(height) % 30)[:, None]
    wall[..., 2] = 110
    frames = []
    for number in range(count):
        frame = Image.fromarray(wall)
        for still, motion in stills:
            x, y, side, turn = motion(number / max(count - 1, 1))
            one = placed(still, size, (x, y), side, turn)
            frame.paste(one, (0, 0), one)
        frames.append(np.asarray(frame))
    return frames


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    sound: str | None = None,
    metadata: dict[str, str] | None = None,
    flip: bool = False,
    context: dict[str, object] | None = None,
    languages: Sequence[str] = ("und",),
    container: dict[str, str] | None = None,
) -> Path:
    """Write frames as a video, shown at `times` in `CLOCK`, and perhaps tones by an encoder `sound`.

    `context` are further settings of the encoder, `container` those of the container. The last of
    several `languages` is the default.
    """
    times = times or [STEP * number for number in range(len(frames))]
    with av.open(str(path), "w", container_options=container or {}) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        clock = Fraction(1, 25) if codec in COUNTING else CLOCK
        stream.pix_fmt, stream.codec_context.time_base = pixel_format, clock
        stream.codec_context.options = options or {}
        for name, value in (context or {}).items():
            value = value | stream.codec_context.flags if name == "flags" else value
            setattr(stream.codec_context, name, value)
        if rotation or flip:
            stream.set_display_matrix(MATRICES[flip, rotation // 90 % 4])
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
            for at in range(0, len(wave), 1024):
                part = (wave[at : at + 1024] * 12000).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
                frame.sample_rate, frame.pts = 48000, begin + at
                frame.time_base = Fraction(1, 48000)
                out.mux(tone.encode(frame))
            out.mux(tone.encode())
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


def decoded(path: Path) -> list[tuple[float, np.ndarray]]:
    """Times in seconds and pixels, as a player gets them without turning."""
    with av.open(str(path)) as clip:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in clip.decode(video=0)]


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
