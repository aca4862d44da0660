"""Reading everything people have, and writing pixels and the colour profile only."""

import errno
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from faked import noise
from PIL import ExifTags, Image, ImageCms

from anonlab.errors import OutputNotWritable, UnreadableImage
from anonlab.photo.photos import read_photo, write_photo

ARTIST = b"Ada Lovelace\0"
COMMENT = b"taken by Ada at home"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURE = np.kron([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255] * 3]], np.ones((32, 48, 1)))
PICTURE = PICTURE.astype(np.uint8)  # each corner another colour: red, green / blue, white


def assert_one_sentence(error: BaseException, name: str, remedy: str) -> None:
    message = str(error)
    assert name in message and remedy in message
    assert "\n" not in message and ". " not in message and not message.endswith(".")


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_palette_with_transparency(tmp_path, suffix):
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


@pytest.mark.parametrize(
    "array", [noise() / np.float32(255), noise()[..., 0], noise().astype(np.uint16)]
)
def test_another_array_is_refused_by_what_it_is(array):
    with pytest.raises(UnreadableImage) as caught:
        read_photo(array)
    assert_one_sentence(caught.value, "array", "must be (H, W, 3) uint8 RGB")
    assert str(array.shape) in str(caught.value) and str(array.dtype) in str(caught.value)


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_the_colour_profile_travels_and_nothing_else(tmp_path, suffix):
    """Neither EXIF nor its thumbnail, which shows the original face, nor a comment."""
    buffer = io.BytesIO()
    Image.fromarray(noise(3, 16, 16)).save(buffer, "JPEG")
    thumbnail, private = buffer.getvalue(), tmp_path / "private.jpg"
    everything = {"exif": exif_with_thumbnail(thumbnail), "comment": COMMENT, "icc_profile": SRGB}
    Image.fromarray(noise()).save(private, **everything)
    data = private.read_bytes()
    assert ARTIST in data and COMMENT in data and thumbnail in data
    photo, path = read_photo(private), tmp_path / "out" / f"a{suffix}"
    assert photo.icc_profile == SRGB
    write_photo(photo.image(photo.pixels), path, photo.icc_profile)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == SRGB
        assert "exif" not in image.info and "comment" not in image.info
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
    data = path.read_bytes()
    assert not any(one in data for one in (ARTIST.strip(b"\0"), COMMENT, thumbnail))


@pytest.mark.parametrize("name", ["a.xyz", "a.heics", "a", "folder.png"])
def test_what_cannot_be_written_leaves_nothing(tmp_path, name):
    (tmp_path / "folder.png" / "inside").mkdir(parents=True)
    remedy = (
        "choose another output folder" if name == "folder.png" else "convert the photo to .png first"
    )
    with pytest.raises(OutputNotWritable) as caught:
        write_photo(Image.fromarray(noise()), tmp_path / name)
    assert_one_sentence(caught.value, name, remedy)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder.png", "inside"]


FAILURES = [
    (OSError(errno.ENOSPC, "No space left on device"), OutputNotWritable),
    (ValueError("wrong mode"), ValueError),
    (KeyboardInterrupt(), KeyboardInterrupt),
]


@pytest.mark.parametrize(("error", "raised"), FAILURES, ids=["disk full", "bug", "ctrl-c"])
def test_failing_save_keeps_what_was_there(tmp_path, monkeypatch, error, raised):
    write_photo(Image.fromarray(noise(1)), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def save(image: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half a pict")
        raise error

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(raised):
        write_photo(Image.fromarray(noise(2)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["a.png"]
