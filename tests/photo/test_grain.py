"""Grain: painted pixels are as noisy as the photo, and nothing else changes."""

import io

import numpy as np
import pytest
from PIL import Image

from anonlab.photo.grain import grain, match_grain

SIZE = 128
V, U = np.mgrid[:SIZE, :SIZE]
INSIDE = np.hypot(U - 64, V - 64) < 40


def photo(noise: float, grey: bool = False, seed: int = 0) -> np.ndarray:
    """A ramp with noise."""
    rng = np.random.default_rng(seed)
    ramp = np.stack([60 + U, 90 + V / 2, 150 - U / 3], 2)
    if grey:
        ramp = ramp[..., :1].repeat(3, 2)
    drawn = rng.normal(0, noise, (SIZE, SIZE, 1 if grey else 3))
    return np.rint(ramp + drawn).clip(0, 255).astype(np.uint8)


def painted(before: np.ndarray) -> np.ndarray:
    """With a smooth disc in it."""
    after = before.copy()
    after[INSIDE] = 128
    return after


@pytest.mark.parametrize("noise", [3, 8, 20])
def test_the_noise_that_was_put_in_is_measured(noise):
    everywhere = np.ones((SIZE, SIZE), bool)
    for channel in range(3):
        assert grain(photo(noise)[..., channel], everywhere) == pytest.approx(noise, rel=0.1)


@pytest.mark.parametrize("noise", [3, 8, 20])
def test_what_was_painted_is_as_noisy_as_the_photo(noise):
    before = photo(noise)
    after = painted(before)
    made = match_grain(before, after, np.random.default_rng(1))
    assert made[INSIDE].std(0) == pytest.approx(noise, rel=0.15)
    assert made[INSIDE].mean(0) == pytest.approx(128, abs=1)
    np.testing.assert_array_equal(made[~INSIDE], before[~INSIDE])
    correlation = np.corrcoef(made[INSIDE].T.astype(float))
    assert np.abs(correlation - np.eye(3)).max() < 0.06  # colours have noise of their own


def test_noise_that_compression_thinned_out_is_not_underrated():
    """A dark photo's: most of it is gone, and what is left stands far out."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    noisy = np.rint(18 + rng.normal(0, 8, (SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    before = np.asarray(Image.open(file))
    made = match_grain(before, np.where(INSIDE[..., None], np.uint8(18), before), rng)
    share = made[INSIDE].std(0) / before[INSIDE].std(0)
    assert (share > 0.65).all() and (share < 1.05).all()


def test_a_photo_without_noise_stays_bit_for_bit():
    before = photo(0.5)
    after = painted(before)
    np.testing.assert_array_equal(match_grain(before, after, np.random.default_rng(1)), after)
    np.testing.assert_array_equal(match_grain(before, before, np.random.default_rng(1)), before)


def test_texture_of_the_face_alone_is_no_noise():
    before = photo(0)
    before[INSIDE] = photo(12)[INSIDE]  # stubble; its surroundings are smooth
    after = painted(before)
    np.testing.assert_array_equal(match_grain(before, after, np.random.default_rng(1)), after)


def test_grey_stays_grey_and_the_same_seed_gives_the_same():
    before = photo(8, grey=True)
    after = painted(before)
    made = match_grain(before, after, np.random.default_rng(1))
    assert (made == made[..., :1]).all() and made[INSIDE].std() > 6
    np.testing.assert_array_equal(made, match_grain(before, after, np.random.default_rng(1)))
