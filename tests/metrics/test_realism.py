"""Sets of pictures: Fréchet distance, precision and recall against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from anonlab.errors import WeightsMissing
from anonlab.metrics import FEATURES, frechet_distance, load_features, precision_recall
from anonlab.weights import store


def drawn(seed: int, count: int = 60, size: int = 6) -> torch.Tensor:
    """Correlated features `(count, size)`."""
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=rng, dtype=torch.float64)
    return torch.randn(count, size, generator=rng, dtype=torch.float64) @ mix


def closed_form(real: torch.Tensor, made: torch.Tensor) -> float:
    """Of two Gaussians (Dowson and Landau 1982), by SciPy."""
    a, b = real.numpy(), made.numpy()
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return apart + np.trace(one + other - 2 * sqrtm(one @ other).real)


def brute_force(real: torch.Tensor, made: torch.Tensor, neighbours: int) -> tuple[float, float]:
    """Kynkäänniemi's definition, picture by picture."""

    def inside(picture: np.ndarray, members: np.ndarray) -> bool:
        for index, member in enumerate(members):
            others = np.linalg.norm(np.delete(members, index, 0) - member, axis=1)
            if np.linalg.norm(picture - member) <= np.sort(others)[neighbours - 1]:
                return True
        return False

    a, b = real.numpy(), made.numpy()
    return np.mean([inside(one, a) for one in b]), np.mean([inside(one, b) for one in a])


def test_a_set_has_no_distance_to_itself():
    features = drawn(0)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    shuffled = features[torch.randperm(60, generator=torch.Generator().manual_seed(1))]
    assert frechet_distance(features, shuffled) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("count", [40, 200])
def test_frechet_distance_is_the_closed_form(count):
    real, made = drawn(1), drawn(2, count) + 1
    expected = closed_form(real, made)
    assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(made, real) == pytest.approx(expected, rel=1e-6)


def test_a_translation_adds_its_squared_length():
    features = drawn(3)
    shift = torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0, 0.0])
    assert frechet_distance(features, features + shift) == pytest.approx(25, rel=1e-6)
    apart = frechet_distance(features, drawn(4) - drawn(4).mean(0) + features.mean(0))
    moved = frechet_distance(features, drawn(4) - drawn(4).mean(0) + features.mean(0) + shift)
    assert moved - apart == pytest.approx(25, rel=1e-5)


def test_stretching_adds_the_squared_difference_of_standard_deviations():
    features = drawn(5)
    variances = features.var(0).sum().item()
    stretched = 3 * (features - features.mean(0)) + features.mean(0)
    assert frechet_distance(features, stretched) == pytest.approx(4 * variances, rel=1e-5)


def test_fewer_pictures_than_features_still_have_a_distance():
    real, made = drawn(6, 12, 40), drawn(7, 12, 40)
    assert frechet_distance(real, made) == pytest.approx(closed_form(real, made), rel=1e-2)


def test_a_set_covers_itself():
    features = drawn(0, 30)
    assert precision_recall(features, features) == (1, 1)


def test_sets_far_apart_share_nothing():
    features = drawn(0, 30)
    assert precision_recall(features, features + 1000) == (0, 0)


def test_a_part_is_real_but_not_everything():
    """Two clusters are real and one of them is made: all made is real, half of the real is made."""
    one, other = drawn(1, 20), drawn(2, 20) + 1000
    assert precision_recall(torch.cat([one, other]), one) == (1, 0.5)
    assert precision_recall(one, torch.cat([one, other])) == (0.5, 1)


def test_a_set_without_variety_has_precision_and_no_recall():
    features = drawn(3, 40)
    middle = features[:1] + 1e-6 * drawn(4, 40)
    precision, recall = precision_recall(features, middle)
    assert precision == 1
    assert 0 < recall < 0.05  # of forty real pictures only the one that was copied


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_and_recall_by_brute_force(neighbours):
    real, made = drawn(8, 25, 3), drawn(9, 35, 3)
    found = precision_recall(real, made, neighbours)
    assert found == pytest.approx(brute_force(real, made, neighbours))
    assert 0 < found[0] < 1 and 0 < found[1] < 1
    assert precision_recall(made, real, neighbours) == pytest.approx(found[::-1])


@pytest.fixture(scope="module")
def vgg():
    return load_features()


def test_features_have_their_own_name(vgg, synthetic_faces):
    assert "ST-LPIPS VGG" in FEATURES
    assert "FID" not in FEATURES.upper() and "inception" not in FEATURES.lower()
    found = vgg(synthetic_faces[:2])
    assert found.shape == (2, 512)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    assert not found.requires_grad


def test_those_features_see_that_a_face_was_spoilt(vgg, synthetic_faces):
    faces = synthetic_faces[:3]
    noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))
    nearer, farther = (
        (vgg(other) - vgg(faces)).norm(dim=1) for other in (faces + 0.02, faces + 0.5 * noise)
    )
    assert (2 * nearer < farther).all()


def test_without_any_features_the_error_says_how_to_get_them(monkeypatch):
    def missing(key: str):
        raise WeightsMissing(f"{key} is missing; repair it with: pip install stlpips_pytorch")

    monkeypatch.setattr(store, "locate", missing)
    with pytest.raises(WeightsMissing, match="pip install"):
        load_features()
