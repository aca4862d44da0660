"""Palettes, arrays that are no photos, and results that cannot be written."""

import errno
from pathlib import Path

import numpy as np
import pytest
from faked import noise
from PIL import Image

from anonlab.errors import OutputNotWritable, UnreadableImage
from anonlab.photo.photos import read_photo, write_photo


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
