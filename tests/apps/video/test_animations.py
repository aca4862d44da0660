"""Animated GIF, WebP and PNG: frames, durations, transparency and loop."""

import numpy as np
import pytest
from making import through
from PIL import Image, ImageSequence

from anonlab.apps.video.clips import open_clip
from anonlab.errors import UnreadableImage

DURATIONS = (40, 120, 200, 80)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    small = rng.integers(0, 255, (4, 6, 8, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((64, 48), Image.Resampling.NEAREST) for one in small]


def shown(path):
    with Image.open(path) as image:
        frames = ((one.convert("RGBA"), one.info["duration"]) for one in ImageSequence.Iterator(image))
        pixels, durations = zip(*frames, strict=True)
        return image.format, image.info.get("loop"), durations, np.stack(pixels)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "apng"])
def test_an_animation_keeps_durations_loop_and_pixels_and_no_comment(pictures, tmp_path, ending):
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    options = {"lossless": True} if ending == "webp" else {"comment": b"SECRET"}  # of a GIF
    first, *rest = pictures
    first.save(path, save_all=True, append_images=rest, duration=DURATIONS, loop=3, **options)
    assert (b"SECRET" in path.read_bytes()) == (ending == "gif")
    through(path, out)
    assert b"SECRET" not in out.read_bytes()
    before, after = shown(path), shown(out)
    assert after[:3] == (before[0], 3, DURATIONS)
    np.testing.assert_array_equal(after[3], before[3])


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_of_a_damaged_animation_the_frames_before_the_damage_are_left(pictures, tmp_path, share):
    path = tmp_path / "in.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    if share < 0.5:
        with pytest.raises(UnreadableImage, match=r"in\.png is damaged or not an animation"):
            list(open_clip(path, tmp_path / "out.png").frames())
        return
    clip = open_clip(path, tmp_path / "out.png")
    assert 0 < clip.count < 4 and clip.lost == 4 - clip.count
    assert clip.left_out == [f"some {clip.lost} frames that cannot be decoded"]
