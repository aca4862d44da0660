"""Sets of pictures: Fréchet distance, precision and recall against closed forms and brute force."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from anonlab.metrics.realism import frechet_distance, precision_recall


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


@pytest.mark.parametrize(
    ("real", "made", "tolerance"),
    [
        (drawn(1), drawn(2, 200) + 1, 1e-6),
        (drawn(6, 12, 40), drawn(7, 12, 40), 1e-2),  # fewer pictures than features
    ],
)
def test_frechet_distance_is_the_closed_form(real, made, tolerance):
    expected = closed_form(real, made)
    assert frechet_distance(real, made) == pytest.approx(expected, rel=tolerance)
    assert frechet_distance(made, real) == pytest.approx(expected, rel=tolerance)


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


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_and_recall_by_brute_force(neighbours):
    real, made = drawn(8, 25, 3), drawn(9, 35, 3)
    found = precision_recall(real, made, neighbours)
    assert found == pytest.approx(brute_force(real, made, neighbours))
    assert 0 < found[0] < 1 and 0 < found[1] < 1
    assert precision_recall(made, real, neighbours) == pytest.approx(found[::-1])
