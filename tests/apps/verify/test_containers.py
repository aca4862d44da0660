"""What a file holds beside its pixels is found, in every format, wherever it is put."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from anonlab.apps.verify.containers import hidden_parts
from anonlab.photo.photos import read_photo, write_photo

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def exif(**more: object) -> bytes:
    """Date, author, serial number and place."""
    made = Image.Exif()
    made[0x0132], made[0x013B] = "2024:05:06 07:08:09", "Ada"
    made[ExifTags.IFD.Exif] = {0xA431: "serial"}
    made[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 29.0)}
    return made.tobytes()


def saved(path: Path, **options: object) -> Path:
    """A photo with something in it."""
    Image.fromarray(PIXELS).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".ppm", ".avif"])
def test_what_anonlab_writes_holds_nothing(tmp_path: Path, suffix: str) -> None:
    """The writer and the judge of it, each by its own way, agree."""
    options = {"exif": exif()} if suffix in (".jpg", ".png", ".webp", ".tif", ".avif") else {}
    photo = read_photo(saved(tmp_path / f"a{suffix}", **options))
    write_photo(photo.image(photo.pixels), tmp_path / f"b{suffix}", photo.icc_profile, photo)
    assert hidden_parts(tmp_path / f"b{suffix}") == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_exif_is_found_field_by_field(tmp_path: Path, suffix: str) -> None:
    found = hidden_parts(saved(tmp_path / f"a{suffix}", exif=exif()))
    assert found == ["EXIF DateTime", "EXIF Artist", "EXIF BodySerialNumber", "place (GPS)"]


def test_only_groups_that_were_asked_for_are_no_leak(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", exif=exif())
    assert hidden_parts(path, ("date", "copyright")) == ["EXIF BodySerialNumber", "place (GPS)"]
    assert hidden_parts(path, ("gps",)) == ["EXIF DateTime", "EXIF Artist", "EXIF BodySerialNumber"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".avif"])
def test_bytes_behind_the_picture(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}")
    with open(path, "ab") as file:
        file.write(b"\xff\xd8\xff the original \xff\xd9")
    assert hidden_parts(path) == ["bytes behind the picture"]


def test_parts_of_a_jpeg(tmp_path: Path) -> None:
    """Comment, and application segments, known or not."""
    path = saved(tmp_path / "a.jpg", comment=b"Ada", xmp=b"<x:xmpmeta/>")
    assert hidden_parts(path) == ["comment block", "xmp block", "APP1 segment", "comment"]
    data = path.read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xeb\x00\x0bunknown!!" + data[2:])
    assert "APP11 segment" in hidden_parts(tmp_path / "b.jpg")


def test_thumbnail_of_a_jpeg(tmp_path: Path) -> None:
    """In JFIF's own header, where nobody looks; and in EXIF."""
    data = saved(tmp_path / "a.jpg").read_bytes()
    header = b"\xff\xe0" + (16 + 12).to_bytes(2, "big") + b"JFIF\0\1\2\0\0\1\0\1\2\2" + bytes(12)
    (tmp_path / "b.jpg").write_bytes(data[:2] + header + data[20:])
    assert hidden_parts(tmp_path / "b.jpg") == ["JFIF thumbnail"]


def test_second_picture_of_a_phone(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(PIXELS)])
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    found = hidden_parts(tmp_path / "a.jpg")
    assert "more than one picture" in found and "APP2 segment" in found


def test_chunks_of_a_png(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Author", "Ada")
    chunks.add(b"prVt", b"the original")
    assert hidden_parts(saved(tmp_path / "a.png", pnginfo=chunks)) == ["tEXt chunk", "prVt chunk"]


def test_chunks_of_a_webp(tmp_path: Path) -> None:
    found = hidden_parts(saved(tmp_path / "a.webp", xmp=b"<x:xmpmeta/>"))
    assert found == ["xmp block", "XMP chunk"]


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("Dear all")
    assert hidden_parts(tmp_path / "a.jpg") == ["cannot be read as a picture"]
