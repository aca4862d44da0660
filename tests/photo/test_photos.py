"""Reading everything people have, and writing pixels and the colour profile only."""

from __future__ import annotations

import errno
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from anonlab.errors import OutputNotWritable, UnreadableImage
from anonlab.files import atomic_path
from anonlab.photo import photos
from anonlab.photo.photos import MIN_SIDE, read_photo, write_photo

ARTIST = b"Ada Lovelace\0"
COMMENT = b"taken by Ada at home"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(height: int = 48, width: int = 64, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Random `(H, W, channels)` uint8, or `(H, W)` for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def quadrants(height: int = 64, width: int = 96) -> np.ndarray:
    """Upright picture, each corner another colour: red, green / blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return pixels


# What a camera stores for an upright picture: row 0 and column 0 are the sides that EXIF names.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda upright: upright[::-1].swapaxes(0, 1),  # left, bottom
}


def oriented(orientation: int) -> Image.Exif:
    """EXIF that says only the orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def exif_with_thumbnail(thumbnail: bytes) -> bytes:
    """An EXIF block with the artist's name and an embedded JPEG thumbnail (IFD1)."""
    artist_at, ifd1_at, thumbnail_at = 38, 52, 94
    ifd0 = struct.pack("<HHHIHH", 2, 0x0112, 3, 1, 1, 0)
    ifd0 += struct.pack("<HHIII", 0x013B, 2, len(ARTIST), artist_at, ifd1_at)
    ifd1 = struct.pack("<HHHIHH", 3, 0x0103, 3, 1, 6, 0)
    ifd1 += struct.pack("<HHII", 0x0201, 4, 1, thumbnail_at)
    ifd1 += struct.pack("<HHIII", 0x0202, 4, 1, len(thumbnail), 0)
    block = b"II*\0" + struct.pack("<I", 8) + ifd0 + ARTIST + b"\0" + ifd1 + thumbnail
    assert block[thumbnail_at:] == thumbnail
    return b"Exif\0\0" + block


def jpeg_bytes(pixels: np.ndarray, **options: object) -> bytes:
    """`pixels` as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def assert_one_sentence(error: BaseException, name: str, remedy: str) -> None:
    """The message names the file and the remedy, on one line, as one sentence."""
    message = str(error)
    assert name in message
    assert remedy in message
    assert "\n" not in message
    assert ". " not in message
    assert not message.endswith(".")


def refused(source: object, name: str, remedy: str) -> UnreadableImage:
    """`source` must be refused with a proper message; returns the error."""
    with pytest.raises(UnreadableImage) as caught:
        read_photo(source)
    assert_one_sentence(caught.value, name, remedy)
    return caught.value


# Modes


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_palette_with_transparency(tmp_path: Path, suffix: str) -> None:
    """Palette colours are looked up, and the transparent index becomes alpha 0."""
    indices = np.zeros((40, 50), np.uint8)
    indices[:, 25:] = 1
    indices[20:, 25:] = 2
    picture = Image.fromarray(indices, "P")
    picture.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    picture.save(tmp_path / f"a{suffix}", transparency=2)
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.pixels[0, 0].tolist() == [10, 20, 30]
    assert photo.pixels[0, 49].tolist() == [200, 100, 50]
    np.testing.assert_array_equal(photo.alpha, np.where(indices == 2, 0, 255))


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_becomes_rgb(tmp_path: Path, suffix: str) -> None:
    """Full magenta and yellow is red, full black is black; the profile of the inks is dropped."""
    inks = np.zeros((64, 64, 4), np.uint8)
    inks[:32] = (0, 255, 255, 0)
    inks[32:] = (0, 0, 0, 255)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(inks, "CMYK").save(
        path, icc_profile=b"inks", **({"quality": 100} if "j" in suffix else {})
    )
    with Image.open(path) as stored:
        assert stored.mode == "CMYK"
        assert stored.info["icc_profile"] == b"inks"
    photo = read_photo(path)
    assert np.abs(photo.pixels[8, 8].astype(int) - (255, 0, 0)).max() <= 3
    assert photo.pixels[56, 8].max() <= 3
    assert photo.icc_profile is None


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    """A ramp over the 16-bit range becomes a ramp over the 8-bit range, not white."""
    values = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    expected = (values / 257).round().astype(np.uint8)
    np.testing.assert_array_equal(photo.pixels, np.stack([expected] * 3, axis=-1))
    assert photo.monochrome
    assert photo.pixels.min() == 0
    assert photo.pixels.max() == 255


def test_sixteen_bits_with_a_transparent_value(tmp_path: Path) -> None:
    """The grey values are scaled here, too, and only the named value is transparent."""
    values = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=int(values[32, 32]))
    with Image.open(tmp_path / "a.png") as stored:
        assert "transparency" in stored.info
    photo = read_photo(tmp_path / "a.png")
    difference = np.abs(photo.pixels[..., 0].astype(int) - (values / 257).round().astype(int))
    assert difference.max() <= 1


# Orientation


@pytest.mark.parametrize("orientation", [3, 6])
def test_alpha_turns_with_the_picture(tmp_path: Path, orientation: int) -> None:
    """The alpha channel is upright as well."""
    upright = noise(channels=4)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=oriented(orientation))
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(np.dstack([photo.pixels, photo.alpha]), upright)


def test_written_photo_is_not_turned_again(tmp_path: Path) -> None:
    """Reading what was written gives the upright picture once more."""
    upright = quadrants()
    Image.fromarray(np.ascontiguousarray(STORED[6](upright))).save(tmp_path / "a.png", exif=oriented(6))
    photo = read_photo(tmp_path / "a.png")
    write_photo(photo.image(photo.pixels), tmp_path / "b.png", photo.icc_profile)
    np.testing.assert_array_equal(read_photo(tmp_path / "b.png").pixels, upright)


# Bad files


def test_smallest_allowed_side(tmp_path: Path) -> None:
    """`MIN_SIDE` passes, one less on one side does not."""
    Image.new("RGB", (MIN_SIDE, MIN_SIDE)).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").size == (MIN_SIDE, MIN_SIDE)
    Image.new("RGB", (MIN_SIDE, MIN_SIDE - 1)).save(tmp_path / "b.png")
    refused(tmp_path / "b.png", "b.png", f"at least {MIN_SIDE} on each side")


# Arrays and PIL images


def test_array_is_copied() -> None:
    """The photo has the array's pixels and does not share its memory."""
    pixels = noise()
    photo = read_photo(pixels)
    np.testing.assert_array_equal(photo.pixels, pixels)
    before = photo.pixels.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(photo.pixels, before)


@pytest.mark.parametrize(
    "array",
    [noise().astype(np.float32) / 255, noise(channels=1), noise(channels=4), noise().astype(np.uint16)],
    ids=["float", "grey", "rgba", "uint16"],
)
def test_bad_array(array: np.ndarray) -> None:
    """Says what it got and what it needs."""
    error = refused(array, "array", "must be (H, W, 3) uint8 RGB")
    assert str(array.shape) in str(error)
    assert str(array.dtype) in str(error)


def test_pil_image_is_upright_and_named(tmp_path: Path) -> None:
    """An opened image is read like its path."""
    upright = quadrants()
    Image.fromarray(np.ascontiguousarray(STORED[8](upright))).save(tmp_path / "a.png", exif=oriented(8))
    with Image.open(tmp_path / "a.png") as image:
        photo = read_photo(image)
    np.testing.assert_array_equal(photo.pixels, upright)
    assert photo.name.endswith("a.png")


# Large files


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit it is refused, at the limit it is not."""
    Image.new("RGB", (2001, 1000)).save(tmp_path / "huge.png")
    Image.new("RGB", (2000, 1000)).save(tmp_path / "large.png")
    monkeypatch.setattr(photos, "MAX_PIXELS", 2_000_000)
    refused(tmp_path / "huge.png", "huge.png", "more than 2 megapixels; scale it down first")
    assert read_photo(tmp_path / "large.png").size == (2000, 1000)


# Writing


@pytest.fixture
def private_jpeg(tmp_path: Path) -> Path:
    """A JPEG with everything in it that gives someone away, and a colour profile."""
    thumbnail = jpeg_bytes(noise(16, 16, seed=3))
    path = tmp_path / "private.jpg"
    path.write_bytes(
        jpeg_bytes(
            noise(), exif=exif_with_thumbnail(thumbnail), icc_profile=SRGB, comment=COMMENT, quality=95
        )
    )
    data = path.read_bytes()
    assert ARTIST in data
    assert COMMENT in data
    assert thumbnail in data
    with Image.open(path) as image:
        assert image.getexif()[0x013B] == ARTIST.decode().strip("\0")
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(thumbnail)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_profile_travels_and_nothing_else(tmp_path: Path, private_jpeg: Path, suffix: str) -> None:
    """The colour profile is in the output; EXIF, its thumbnail and the comment are not."""
    photo = read_photo(private_jpeg)
    assert photo.icc_profile == SRGB
    path = tmp_path / "out" / f"a{suffix}"
    write_photo(photo.image(photo.pixels), path, photo.icc_profile)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == SRGB
        assert "exif" not in image.info
        assert "comment" not in image.info
        exif = image.getexif()
        assert 0x013B not in exif
        assert not exif.get_ifd(ExifTags.IFD.IFD1)
    data = path.read_bytes()
    assert ARTIST.strip(b"\0") not in data
    assert COMMENT not in data
    assert jpeg_bytes(noise(16, 16, seed=3)) not in data


def test_profile_of_colours_is_not_put_on_grey(tmp_path: Path) -> None:
    """A black and white photo stored as RGB is not written as grey with an RGB profile."""
    grey = np.repeat(noise(channels=1)[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=SRGB)
    photo = read_photo(tmp_path / "a.png")
    write_photo(photo.image(photo.pixels), tmp_path / "b.png", photo.icc_profile)
    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.array(image.convert("RGB")), grey)
        assert image.mode == "RGB" or "icc_profile" not in image.info


@pytest.mark.parametrize(
    ("suffix", "kind", "tolerance"),
    [
        (".jpg", "JPEG", 12),
        (".JPEG", "JPEG", 12),
        (".png", "PNG", 0),
        (".webp", "WEBP", 30),
        (".tif", "TIFF", 0),
        (".tiff", "TIFF", 0),
        (".bmp", "BMP", 0),
    ],
)
def test_formats(tmp_path: Path, suffix: str, kind: str, tolerance: int) -> None:
    """The format follows the name, and the picture is the same as far as the format can."""
    path = tmp_path / f"a{suffix}"
    write_photo(Image.fromarray(quadrants()), path)
    with Image.open(path) as image:
        assert image.format == kind
        difference = np.array(image.convert("RGB")).astype(int) - quadrants()
    assert np.abs(difference[8:24, 8:40]).max() <= tolerance
    assert np.abs(difference[-24:-8, -40:-8]).max() <= tolerance
    if not tolerance:
        assert not difference.any()
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_written(tmp_path: Path, suffix: str) -> None:
    """Where the format has alpha, alpha is the same bytes."""
    pixels = np.dstack([quadrants(), noise(64, 96, 1)])
    write_photo(Image.fromarray(pixels), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.array(image)[..., 3], pixels[..., 3])


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".png", ".tif", ".webp"])
def test_grey_with_alpha_goes_back_to_its_format(tmp_path: Path, suffix: str) -> None:
    """A grey transparent picture can be written in the format that it was read from."""
    grey = np.full((64, 96), 40, np.uint8)
    grey[:, 48:] = 200
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[32:] = 0
    picture = Image.fromarray(np.dstack([grey, grey, grey, alpha]))
    picture.save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.monochrome
    write_photo(photo.image(photo.pixels), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as image:
        pixels = np.array(image.convert("RGB")).astype(int)
    assert np.abs(pixels[:32] - grey[:32, :, None]).max() <= 3


@pytest.mark.parametrize("name", ["a.xyz", "a.heics", "a"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    """Refused by name, with nothing left on the disk."""
    with pytest.raises(OutputNotWritable) as caught:
        write_photo(Image.fromarray(noise()), tmp_path / "out" / name)
    assert_one_sentence(caught.value, name, "convert the photo to .png first")
    assert list(tmp_path.iterdir()) == []


def test_output_is_a_folder(tmp_path: Path) -> None:
    """A folder with the photo's name: a named error, and no temporary file stays."""
    (tmp_path / "a.png").mkdir()
    (tmp_path / "a.png" / "inside").touch()
    with pytest.raises(OutputNotWritable) as caught:
        write_photo(Image.fromarray(noise()), tmp_path / "a.png")
    assert_one_sentence(caught.value, "a.png", "choose another output folder")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.png", "inside"]


def break_saving(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Saving writes the first bytes and then fails with `error`."""

    def save(image: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half a pict")
        raise error

    monkeypatch.setattr(Image.Image, "save", save)


FAILURES = [
    (OSError(errno.ENOSPC, "No space left on device"), OutputNotWritable),
    (ValueError("wrong mode"), ValueError),
    (KeyboardInterrupt(), KeyboardInterrupt),
]


@pytest.mark.parametrize(("error", "raised"), FAILURES, ids=["disk full", "bug", "ctrl-c"])
def test_failing_save_keeps_what_was_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    """The earlier file is the same, byte for byte."""
    write_photo(Image.fromarray(noise(seed=1)), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    break_saving(monkeypatch, error)
    with pytest.raises(raised):
        write_photo(Image.fromarray(noise(seed=2)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["a.png"]


def test_atomic_path_shows_nothing_before_the_end(tmp_path: Path) -> None:
    """Inside the block the name is not there yet; after it, it is, readable like other files."""
    with atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("all of it")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "all of it"
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert not partial.exists()
