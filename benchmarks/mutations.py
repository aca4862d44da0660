"""Small valid pictures and clips of every format, and how they are damaged."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

MARKER = b"the-original-is-hidden-here"


def seeds() -> list[tuple[str, bytes]]:
    """Make suffix and bytes of valid files: every format, with all that such a file may carry."""
    Image.init()
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    photo = Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)
    deep = Image.fromarray(np.random.default_rng(1).integers(0, 65536, (48, 64), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = MARKER.decode(), 6
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", MARKER.decode())
    text.add_text("Packed", MARKER.decode() * 9, zip=True)
    other = photo.rotate(180)
    jpeg = {"exif": exif, "comment": MARKER, "quality": 85}
    made: list[tuple[str, str, Image.Image, dict]] = [
        (".jpg", "JPEG", photo, jpeg),
        (".jpg", "JPEG", photo, jpeg | {"progressive": True, "subsampling": 0}),
        (".jpg", "JPEG", photo.convert("L"), jpeg),
        (".jpg", "JPEG", photo.convert("CMYK"), jpeg),
        (".jpg", "MPO", photo, {"save_all": True, "append_images": [other]}),
        (".png", "PNG", photo, {"exif": exif, "pnginfo": text}),
        (".png", "PNG", photo.convert("RGBA"), {"pnginfo": text}),
        (".png", "PNG", photo.quantize(50), {"transparency": 3}),
        (".png", "PNG", deep, {}),
        (".png", "PNG", photo.convert("1"), {}),
        (".png", "PNG", photo, {"save_all": True, "append_images": [other]}),
        (".webp", "WEBP", photo, {"exif": exif, "xmp": MARKER}),
        (".webp", "WEBP", photo.convert("RGBA"), {"lossless": True}),
        (".webp", "WEBP", photo, {"save_all": True, "append_images": [other]}),
        (".gif", "GIF", photo.quantize(200), {"comment": MARKER, "transparency": 3}),
        (".gif", "GIF", photo, {"save_all": True, "append_images": [other]}),
        (".tif", "TIFF", photo, {"exif": exif, "compression": "tiff_lzw"}),
        (".tif", "TIFF", photo, {"compression": "tiff_adobe_deflate"}),
        (".tif", "TIFF", photo, {"compression": "jpeg"}),
        (".tif", "TIFF", deep, {}),
        (".tif", "TIFF", photo, {"save_all": True, "append_images": [other]}),
        (".bmp", "BMP", photo, {}),
        (".bmp", "BMP", photo.quantize(16), {}),
        (".ppm", "PPM", photo, {}),
        (".pgm", "PPM", deep, {}),
        (".avif", "AVIF", photo, {"exif": exif}),
        (".heic", "HEIF", photo, {"exif": exif}),
    ]
    files = []
    for suffix, kind, image, options in made:
        if kind in Image.SAVE:
            buffer = io.BytesIO()
            if "append_images" in options:  # saving leaves its traces in an image
                options = options | {"append_images": [other.copy()]}
            image.copy().save(buffer, kind, **options)
            files.append((suffix, buffer.getvalue()))
    return files


CLIPS = [  # ending, codec, pixel format, codec of the sound, options of the container
    (".mp4", "libx264", "yuv420p", "aac", {}),
    (".mp4", "mpeg4", "yuv420p", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    (".mov", "prores_ks", "yuv422p10le", "pcm_s16le", {}),
    (".mkv", "ffv1", "yuv420p", "flac", {}),
    (".webm", "libvpx-vp9", "yuv420p", "libopus", {}),
    (".avi", "mjpeg", "yuvj420p", "mp2", {}),
    (".ts", "mpeg2video", "yuv420p", "mp2", {}),
    (".mpg", "mpeg1video", "yuv420p", "mp2", {}),
    (".flv", "flv", "yuv420p", None, {}),
    (".wmv", "wmv2", "yuv420p", "wmav2", {}),
]


def clip_seeds() -> list[tuple[str, bytes]]:
    """Make suffix and bytes of valid clips: ten containers of video, and two animations."""
    import av

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 6, 8, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one).resize((64, 48), Image.Resampling.BICUBIC) for one in small]
    files = []
    for suffix, codec, kind, sound, options in CLIPS:
        buffer = io.BytesIO()
        buffer.name = f"clip{suffix}"
        with av.open(buffer, "w", container_options=options) as out:
            out.metadata["title"] = MARKER.decode()
            stream = out.add_stream(codec, rate=25, width=64, height=48, pix_fmt=kind)
            tone = out.add_stream(sound, rate=48000, bit_rate=96000) if sound else None
            for number, one in enumerate(pictures):
                frame = av.VideoFrame.from_image(one)
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
            if tone:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 20480), np.int16), "s16", "stereo")
                frame.sample_rate, frame.pts = 48000, 0
                out.mux(tone.encode(frame))
                out.mux(tone.encode())
        files.append((suffix, buffer.getvalue()))
    for suffix, kind in ((".gif", "GIF"), (".png", "PNG")):
        buffer = io.BytesIO()
        first, *rest = [one.copy() for one in pictures]
        first.save(buffer, kind, save_all=True, append_images=rest, duration=40)
        files.append((suffix, buffer.getvalue()))
    return files


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Return `data` after one to four mutations."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(MUTATIONS)(rng, bytearray(data or b"\0"), others)
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        data = with_right_checksums(data)
    return data


def _bits(rng: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _bytes(rng: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    for _ in range(rng.randint(1, 16)):
        data[rng.randrange(len(data))] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
    return bytes(data)


def _number(rng: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    """Place a length, size or offset that is extreme; most of them stand near the start."""
    size = rng.choice((1, 2, 4, 8))
    near = min(len(data), rng.choice((40, 200, len(data))))
    at = rng.randrange(max(1, near - size))
    values = (0, 1, (1 << 8 * size) - 1, (1 << 8 * size - 1) - 1, 1 << 8 * size - 1, len(data))
    value = rng.choice(values) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
    return bytes(data)


def _cut(rng: random.Random, data: bytearray, _: list[bytes]) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _block(rng: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """Remove, double, blank or move a block, or take one from another file."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 4, 16, 64, 256, 1024)))
    block, rest = bytes(data[start:end]), bytes(data[:start] + data[end:])
    other = rng.choice(others)
    foreign = other[rng.randrange(len(other)) :][: end - start]
    at = rng.randrange(len(rest) + 1)
    return rng.choice(
        (
            rest,
            bytes(data[:end]) + block * rng.choice((1, 2, 50)) + bytes(data[end:]),
            bytes(data[:start]) + rng.choice((b"\0", b"\xff")) * len(block) + bytes(data[end:]),
            rest[:at] + block + rest[at:],
            bytes(data[:start]) + foreign + bytes(data[end:]),
        )
    )


def _two(rng: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """Two files in one: one behind the other, or the head of one with the tail of the other."""
    other = rng.choice(others)
    if rng.random() < 0.5:
        return bytes(data) + other
    return bytes(data[: rng.randrange(len(data))]) + other[rng.randrange(len(other)) :]


MUTATIONS: tuple[Callable, ...] = (_bits, _bytes, _number, _number, _cut, _block, _block, _two)


def with_right_checksums(data: bytes) -> bytes:
    """Make a PNG whose chunks are believed: without, every decoder stops at the first changed one."""
    made, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        made += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(made) + data[at:]


def case(number: int, seed: int, files: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Make the suffix and bytes of one case; the same for the same numbers."""
    rng = random.Random(f"{seed} {number}")
    suffix, data = rng.choice(files)
    if rng.random() < 0.1:
        suffix = rng.choice(files)[0]
    return suffix, mutated(rng, data, [one for _, one in files])
