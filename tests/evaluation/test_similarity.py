"""Pixel measures against scikit-image, torchmetrics and values known beforehand."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from anonlab.evaluation.judging import changed_share, psnr, ssim_map
from anonlab.images import blurred, resize, to_tensor, to_uint8

LEVEL = 2 / 255  # one step of 8-bit pixels


@pytest.fixture(scope="module")
def face(astronaut_face) -> torch.Tensor:
    return to_tensor(to_uint8(resize(astronaut_face, 128)))


@pytest.fixture(scope="module")
def soft(face) -> torch.Tensor:
    return to_tensor(to_uint8(blurred(face, 2.0)))


def black(size: int = 100) -> torch.Tensor:
    return torch.full((1, 3, size, size), -1.0)


def test_ssim_is_torchmetrics_too(face, soft):
    expected = structural_similarity_index_measure(
        torch.from_numpy(to_uint8(face)).permute(2, 0, 1)[None].double(),
        torch.from_numpy(to_uint8(soft)).permute(2, 0, 1)[None].double(),
        data_range=255.0,
    ).item()
    assert ssim_map(face, soft).mean() == pytest.approx(expected, abs=2e-3)  # the border counts


def test_ssim_falls_only_where_the_picture_changed(face):
    after = face.clone()
    after[..., 40:60, 40:60] = -after[..., 40:60, 40:60]
    similarity = ssim_map(face, after)
    assert similarity[45:55, 45:55].max() < 0.5
    away = np.ones((128, 128), dtype=bool)
    away[34:66, 34:66] = False  # a window's reach around the square
    assert similarity[away] == pytest.approx(np.ones(away.sum()))


def test_psnr_has_known_values_and_ignores_what_its_weight_leaves_out():
    after = black()
    after[..., :50] = 1.0
    after[..., 50:] += 10 * LEVEL
    right = np.zeros((100, 100))
    right[:, 50:] = 1
    assert psnr(after, after) == 100  # at most
    assert psnr(black(), after, right) == pytest.approx(20 * np.log10(25.5))
    assert psnr(black(), after, 1 - right) == pytest.approx(0)
    assert psnr(black(), after, np.ones((100, 100))) == pytest.approx(psnr(black(), after))
    half = 10 * np.log10(255**2 / ((0.5 * 255**2 + 10**2) / 1.5))
    assert psnr(black(), after, (1 + right) / 2) == pytest.approx(half)


def test_changed_share_counts_pixels_beyond_rounding():
    after = black()
    after[0, 0, :10, :10] += 3 * LEVEL  # one colour is enough
    after[..., 50:, :] += 2 * LEVEL  # rounding
    assert changed_share(black(), after) == pytest.approx(0.01)
    assert changed_share(after, black()) == pytest.approx(0.01)
    assert changed_share(after, after) == 0
    assert changed_share(black(), black() + 3 * LEVEL) == 1
