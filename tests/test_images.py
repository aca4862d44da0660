"""The helpers of the ground floor: what a blur, a smaller picture, a paste and 8 bits are."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from anonlab.images import blurred, from_bytes, pasted, resize, to_bytes, truncated_bytes

LEVELS = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("sigma", [1.0, 6.0, 30.0])  # the last one reaches over the whole picture
def test_a_blur_is_a_convolution_with_continued_edges(sigma):
    image = torch.randn(2, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(image.numpy(), sigma, mode="nearest", radius=int(3 * sigma), axes=(2, 3))
    torch.testing.assert_close(blurred(image, sigma), torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [50, 60])  # a divisor of the side, and none
def test_a_smaller_picture_is_made_of_means(size):
    board = (torch.arange(100)[:, None] + torch.arange(100)[None]) % 2 * 2.0 - 1
    small = resize(board[None, None], size)
    assert small.shape == (1, 1, size, size)
    assert small.abs().max() < 0.2  # black and white, pixel by pixel, are grey
    ramp = torch.linspace(-1, 1, 100).expand(1, 1, 100, 100)
    assert resize(ramp, size).mean().item() == pytest.approx(0, abs=1e-4)


def test_pasted_is_the_one_where_the_mask_is_0_and_the_other_where_it_is_1():
    image, over = torch.full((1, 3, 4, 4), -0.5), torch.full((1, 3, 4, 4), 0.75)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:, :], mask[..., 0, 0] = 1, 0.5
    made = pasted(image, over, mask)
    assert (made[..., 2:, :] == 0.75).all() and (made[..., 1, :] == -0.5).all()
    assert made[0, :, 0, 0].tolist() == [0.125] * 3


def test_all_levels_go_to_numbers_and_back():
    numbers = from_bytes(LEVELS)
    assert (numbers[0].item(), numbers[255].item()) == (-1, 1)
    assert torch.equal(to_bytes(numbers), LEVELS)


def test_eight_bits_are_the_nearest_level_and_the_truncated_ones_the_level_below():
    level = 2 / 255
    nearly = (from_bytes(LEVELS[:255]) + 0.7 * level)[:, None]
    assert torch.equal(to_bytes(nearly)[:, 0], LEVELS[1:])
    assert torch.equal(truncated_bytes(nearly)[:, 0], LEVELS[:255])
    assert to_bytes(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
