"""Files that are small and want much: memory, time, or a decoder's patience."""

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from faked import chunk, noise
from PIL import Image

from anonlab.errors import UnreadableImage
from anonlab.photo.photos import MAX_PROFILE, read_photo, write_photo


def png(width: int, height: int, *more: tuple[bytes, bytes], packed: bytes | None = None) -> bytes:
    """A grey PNG with chunks of one's own before the picture, and `packed` as the picture."""
    packed = zlib.compress((b"\0" + bytes(width)) * height) if packed is None else packed
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def refused(path: Path, seconds: float = 5) -> str:
    """The message with which a file is refused, soon."""
    start = time.monotonic()
    with pytest.raises(UnreadableImage) as caught:
        read_photo(path)
    assert time.monotonic() - start < seconds  # decoding it would take far longer
    assert path.name in str(caught.value) and "; " in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (65_000, 3_000)]
)
def test_dimensions(tmp_path, width, height):
    (tmp_path / "a.png").write_bytes(png(width, height, packed=zlib.compress(bytes(1000))))
    assert "megapixels; scale it down first" in refused(tmp_path / "a.png")


PACKED = [(b"zTXt", 1), (b"iTXt", 1), (b"zTXt", 99), (b"iCCP", 1)]


@pytest.mark.parametrize(("name", "count"), PACKED)
def test_compressed_chunks_are_not_unpacked(tmp_path, name, count):
    """100 kB that unpack to 100 MB, in one chunk or many."""
    packed = zlib.compress(bytes(100_000_000 // count), 9)
    content = b"name\0" + (b"\1\0\0\0" if name == b"iTXt" else b"\0") + packed
    (tmp_path / "a.png").write_bytes(png(64, 64, *[(name, content)] * count))
    tracemalloc.start()
    try:
        assert "re-save it in a photo editor" in refused(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".avif"])
def test_truncated(tmp_path, suffix):
    Image.init()
    if suffix == ".avif" and "AVIF" not in Image.SAVE:
        pytest.skip("no AVIF here")
    Image.fromarray(noise()).save(tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"b{suffix}").write_bytes(data[: len(data) // 2])
    assert "re-save it in a photo editor" in refused(tmp_path / f"b{suffix}")


def test_a_huge_profile_is_dropped_and_said(tmp_path):
    """It may hold anything, and no colours need so much."""
    size = MAX_PROFILE + 1
    profile = struct.pack(">I", size) + bytes(32) + b"acsp" + bytes(size - 40)
    Image.fromarray(noise()).save(tmp_path / "a.jpg", icc_profile=profile)
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.icc_profile is None
    notes = write_photo(photo.image(photo.pixels), tmp_path / "b.jpg", photo.icc_profile, photo)
    assert notes == ["its colour profile is none, and is dropped"]
    assert (tmp_path / "b.jpg").stat().st_size < 50_000
