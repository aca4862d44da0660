"""A result is written as its photo was: tables, depth, palette, compression; and one picture only."""

import io
import math
import struct
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from anonlab.errors import SeveralPictures, UnreadableImage
from anonlab.photo import originals
from anonlab.photo.metadata import FIRST, GROUPS, kept_exif, read_fields
from anonlab.photo.photos import read_photo, write_photo

SPOT = (slice(10, 30), slice(20, 40))  # where the tests change a picture
THUMBNAIL = b"\xff\xd8\xff\xdb a small JPEG of the face \xff\xd9"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def smooth(height: int = 64, width: int = 80, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(20, 236, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def changed_copy(path: Path, out: Path, **options: object) -> list[str]:
    """Read, change the spot, write alike; the notes."""
    photo = read_photo(path)
    pixels = photo.pixels.copy()
    pixels[SPOT] = 255 - pixels[SPOT]
    return write_photo(photo.image(pixels), out, photo.icc_profile, photo, **options)


def outside(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[SPOT] = 0
    return pixels


def stored(path: Path) -> tuple[str, np.ndarray]:
    with Image.open(path) as image:
        return image.mode, np.array(image)


# JPEG


@pytest.mark.parametrize("quality", [35, 83, 97])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_keeps_its_tables_and_subsampling(tmp_path, quality, subsampling):
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    assert changed_copy(tmp_path / "a.jpg", tmp_path / "b.jpg") == []
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.jpg") as after:
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling
        difference = np.asarray(after).astype(int) - np.asarray(before)
    assert np.abs(outside(difference)[40:]).max() <= 8  # away from the spot's blocks


def test_many_passes_are_refused_before_they_are_decoded(tmp_path):
    """Each scan of a progressive JPEG goes over the whole picture: a small file can take minutes."""
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    last = data.rindex(b"\xff\xda")
    repeated = data[:-2] + data[last:-2] * originals.MAX_SCANS + b"\xff\xd9"
    (tmp_path / "b.jpg").write_bytes(repeated)
    assert read_photo(tmp_path / "a.jpg").size == (80, 64)
    with pytest.raises(UnreadableImage, match="passes; re-save it"):
        read_photo(tmp_path / "b.jpg")


# Lossless formats


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_become_eight_and_the_record_says_so(tmp_path, suffix):
    values = np.random.default_rng(1).integers(0, 65536, (64, 80), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    notes = changed_copy(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert notes == ["more than 8 bits a channel became 8"]
    mode, after = stored(tmp_path / f"b{suffix}")
    assert mode == "L"
    np.testing.assert_array_equal(outside(after), outside((values / 257).round()))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".bmp", {}),
        (".ppm", {}),
        (".tif", {}),
        (".tif", {"compression": "tiff_lzw"}),
        (".tif", {"compression": "packbits"}),
        (".webp", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lossless_stays_lossless(tmp_path, suffix, options, channels):
    if channels == 4 and suffix == ".ppm":
        pytest.skip("PPM has no alpha")
    pixels = np.random.default_rng(2).integers(0, 256, (64, 80, channels), dtype=np.uint8)
    pixels = pixels[..., 0] if channels == 1 else pixels
    options = options | ({"exact": True} if suffix == ".webp" else {})
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **options)
    assert changed_copy(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}") == []
    (mode, before), (new_mode, after) = stored(tmp_path / f"a{suffix}"), stored(tmp_path / f"b{suffix}")
    if suffix != ".webp":
        assert new_mode == mode
    np.testing.assert_array_equal(outside(after), outside(before))
    assert (after != before).any()
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.info.get("compression") in (options.get("compression"), "raw", None, 0)


# Metadata that may stay


def photo_with_everything(path: Path) -> None:
    """With colour profile, date, camera, rights, place, serial number, MakerNote, description and a
    thumbnail, which would show the original face."""
    exif = Image.Exif()
    exif[0x010E], exif[0x013B], exif[0x8298] = "Ada at home", "Ada Lovelace", "© Ada"
    exif[0x010F], exif[0x0110], exif[0x0132] = "Maker", "Model 1", "2024:05:06 07:08:09"
    exif[ExifTags.IFD.Exif] = {
        0x9003: "2024:05:06 07:08:09", 0x829A: 0.01, 0xA431: "serial-4711",
        0x927C: b"maker-note-bytes", 0xA434: "Lens 50", 0xA430: "Owner Ada",
    }  # fmt: skip
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)}
    block = bytearray(exif.tobytes())  # TIFF behind six bytes; a second directory is linked to the first
    (fields,) = struct.unpack_from(">H", block, 14)
    struct.pack_into(">I", block, 16 + 12 * fields, len(block) - 6)
    at = len(block) - 6 + 30, len(THUMBNAIL)
    block += struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, at[0], 0x0202, 4, 1, at[1], 0) + THUMBNAIL
    options = {"exif": bytes(block), "comment": b"a comment", "icc_profile": SRGB}
    Image.fromarray(smooth()).save(path, **options)
    assert path.suffix == ".tif" or THUMBNAIL in path.read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("names", [(), ("date",), ("camera", "copyright"), ("gps",), tuple(GROUPS)])
def test_only_named_groups_stay(tmp_path, suffix, names):
    photo_with_everything(tmp_path / f"a{suffix}")
    changed_copy(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", keep_metadata=names)
    photo, alone = read_photo(tmp_path / f"a{suffix}"), tmp_path / "new" / f"c{suffix}"
    write_photo(photo.image(photo.pixels), alone, photo.icc_profile)
    data = (tmp_path / f"b{suffix}").read_bytes() + alone.read_bytes()
    with Image.open(alone) as image:
        assert image.info["icc_profile"] == SRGB and not image.getexif().get(0x013B)
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.info["icc_profile"] == SRGB
        exif = image.getexif()
        first, inner = dict(exif), exif.get_ifd(ExifTags.IFD.Exif)
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert (first.get(0x0132) == "2024:05:06 07:08:09") is ("date" in names)
    assert (inner.get(0x9003) == "2024:05:06 07:08:09") is ("date" in names)
    assert (first.get(0x0110) == "Model 1") is ("camera" in names)
    assert (inner.get(0xA434) == "Lens 50") is ("camera" in names)
    assert (first.get(0x013B) == "Ada Lovelace") is ("copyright" in names)
    assert bool(place) is ("gps" in names)
    if "gps" in names:
        assert [float(one) for one in place[2]] == [48.0, 51.0, 29.0]
    for never in (b"serial-4711", b"maker-note", b"Owner Ada", b"Ada at home", b"a comment", THUMBNAIL):
        assert never not in data


GPS, INNER = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
KEPT = {  # values that stay of a field, and those that do not
    (FIRST, 0x013B): (
        ("MAX", "A", "A" * 200, "a\0b", "Ada ~ \0", "Jos\xe9"),
        ("", " \0 ", "A" * 201, "a\0b\0c", "a\x1fb", "a\x7fb", "山", 5),
    ),
    (GPS, 0x1B): ((b"1", b"12345678"), (b"", b"123456789")),
    (GPS, 0x05): ((b"\1",), ((1, 2), 256)),  # it holds one, of a byte
    (INNER, 0xA432): (((1.0,) * 8,), ((1.0,) * 9, ())),
    (INNER, 0x829A): ((0.01,), (math.nan, math.inf, {}, [1])),
}
VALUES = [(*field, value, not no) for field, both in KEPT.items() for no in (0, 1) for value in both[no]]


@pytest.mark.filterwarnings("ignore:Metadata Warning")
@pytest.mark.parametrize(("directory", "tag", "value", "stays"), VALUES)
def test_only_short_text_and_few_numbers_stay(directory, tag, value, stays):
    exif, notes = kept_exif({(directory, tag): value, (INNER, 0x927C): b"a note"}, tuple(GROUPS))
    if not stays:
        name = (ExifTags.GPSTAGS if directory == GPS else ExifTags.TAGS)[tag]
        assert (exif, notes) == (None, [f"its EXIF field {name} could not be kept as it is"])
        return
    again = Image.Exif()
    again.load(exif.tobytes())
    found = again.get_ifd(directory) if directory else dict(again)
    assert notes == [] and 0x927C not in again.get_ifd(INNER)
    assert found[tag] == (value.rstrip("\0 ") if isinstance(value, str) else value)


def test_damaged_exif_has_no_fields_and_pillows_warnings_are_not_passed_on(recwarn):
    def damaged() -> Image.Exif:
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        raise SyntaxError("not a TIFF file")

    assert read_fields(SimpleNamespace(getexif=damaged)) == {} and not recwarn


# Several pictures in a file


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif", ".tif"])
def test_several_pictures_are_refused_with_what_does_them(tmp_path, suffix):
    path, video = tmp_path / f"two frames{suffix}", r"python -m anonlab video '.*two frames\.\w+'"
    first, second = (Image.fromarray(smooth(seed=seed)) for seed in (1, 2))
    first.save(path, save_all=True, append_images=[second], duration=100)
    said = "save each as a file of its own" if suffix == ".tif" else video
    with pytest.raises(SeveralPictures, match=said):
        read_photo(path)
    with pytest.raises(SeveralPictures), Image.open(path) as image:
        read_photo(image)


def test_only_the_first_picture_of_a_phone_is_written(tmp_path):
    """The preview or depth map behind it would leak the face."""
    preview = Image.fromarray(smooth(seed=5))
    buffer = io.BytesIO()
    Image.fromarray(smooth(seed=4)).save(buffer, "MPO", save_all=True, append_images=[preview])
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    (note,) = changed_copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert "pictures behind the first" in note
    data = (tmp_path / "b.jpg").read_bytes()
    assert data.count(b"\xff\xd8\xff") == 1 and b"MPF" not in data
    with Image.open(tmp_path / "b.jpg") as after:
        assert after.format == "JPEG"


# Formats that not every Pillow reads


@pytest.mark.parametrize(("suffix", "kind"), [(".avif", "AVIF"), (".heic", "HEIF")])
def test_modern_formats_are_read_and_written(tmp_path, suffix, kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"no {kind} here")
    exif = Image.Exif()
    exif[0x013B] = "Ada Lovelace"
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}", exif=exif, quality=90)
    assert b"Ada Lovelace" in (tmp_path / f"a{suffix}").read_bytes()
    changed_copy(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert b"Ada Lovelace" not in (tmp_path / f"b{suffix}").read_bytes()
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.format == kind
        difference = np.asarray(image.convert("RGB")).astype(int) - smooth()
    assert np.abs(outside(difference)).mean() < 4


def test_heic_without_its_decoder_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    Image.init()
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(UnreadableImage, match="pip install pillow-heif"):
        read_photo(tmp_path / "a.heic")
