"""What a file holds beside its pixels is found, in every format, wherever it is put."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from anonlab.apps.verify.containers import hidden_parts
from anonlab.photo.photos import read_photo, write_photo

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
EXIF = Image.Exif()
EXIF[0x0132], EXIF[0x013B] = "2024:05:06 07:08:09", "Ada"
EXIF[ExifTags.IFD.Exif] = {0xA431: "serial"}
EXIF[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 29.0)}
WITH_EXIF = (".jpg", ".png", ".webp", ".tif", ".avif")


def saved(path: Path, **options: object) -> Path:
    Image.fromarray(PIXELS).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [*WITH_EXIF, ".gif", ".bmp", ".ppm"])
def test_what_anonlab_writes_holds_nothing(tmp_path, suffix):
    options = {"exif": EXIF.tobytes()} if suffix in WITH_EXIF else {}
    path, out = saved(tmp_path / f"a{suffix}", **options), tmp_path / f"b{suffix}"
    with path.open("ab") as file:  # a polyglot
        file.write(b"PK\x03\x04<script>alert(1)</script>" + b"the face again" * 50)
    photo = read_photo(path)
    write_photo(photo.image(photo.pixels), out, photo.icc_profile, photo)
    assert hidden_parts(out) == []
    assert not any(part in out.read_bytes() for part in (b"<script>", b"the face again"))


@pytest.mark.parametrize("suffix", WITH_EXIF)
def test_exif_is_found_field_by_field_but_for_groups_that_were_asked_for(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}", exif=EXIF.tobytes())
    date, author, serial = "EXIF DateTime", "EXIF Artist", "EXIF BodySerialNumber"
    assert hidden_parts(path) == [date, author, serial, "place (GPS)"]
    assert hidden_parts(path, ("date", "copyright")) == [serial, "place (GPS)"]
    assert hidden_parts(path, ("gps",)) == [date, author, serial]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".avif"])
def test_bytes_behind_the_picture(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}")
    with open(path, "ab") as file:
        file.write(b"\xff\xd8\xff the original \xff\xd9")
    assert hidden_parts(path) == ["bytes behind the picture"]


def picture(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def chunks() -> PngImagePlugin.PngInfo:
    made = PngImagePlugin.PngInfo()
    made.add_text("Author", "Ada")
    made.add(b"prVt", b"the original")
    return made


JPEG = picture("JPEG")
THUMBNAIL = b"\xff\xe0" + (16 + 12).to_bytes(2, "big") + b"JFIF\0\1\2\0\0\1\0\1\2\2" + bytes(12)
SECOND = picture("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (picture("JPEG", comment=b"Ada"), ["comment block", "comment"]),
        (picture("JPEG", xmp=b"<x:xmpmeta/>"), ["xmp block", "APP1 segment"]),
        (JPEG[:2] + b"\xff\xeb\x00\x0bunknown!!" + JPEG[2:], ["APP11 segment"]),
        (JPEG[:2] + THUMBNAIL + JPEG[20:], ["JFIF thumbnail"]),
        (SECOND, ["more than one picture", "APP2 segment", "bytes behind the picture"]),  # of a phone
        (picture("PNG", pnginfo=chunks()), ["tEXt chunk", "prVt chunk"]),
        (picture("WEBP", xmp=b"<x:xmpmeta/>"), ["xmp block", "XMP chunk"]),
        (b"Dear all", ["cannot be read as a picture"]),
    ],
    ids=lambda one: one[-1] if isinstance(one, list) else "",
)
def test_parts_that_are_not_on_the_list_are_named(tmp_path, data, found):
    (tmp_path / "a.jpg").write_bytes(data)
    assert hidden_parts(tmp_path / "a.jpg") == found
