"""What training draws its batches from, and what the landmark network is told, without any network."""

from __future__ import annotations

import pytest
import torch

from anonlab.training import landmarks
from anonlab.training.landmarks import LandmarkTask
from anonlab.training.synthetic import HELD_OUT, Samples

COUNT = 12


def blank(count: int) -> Samples:
    """Samples of nobody: only their number counts."""
    return Samples(
        images=torch.full((count, 3, 256, 256), 128, dtype=torch.uint8),
        ws=torch.zeros(count, 2, 4).half(),
        known=torch.ones(count, dtype=torch.bool),
        embeddings=torch.zeros(count, 8),
        attribution=torch.ones(count, 1, 64, 64).half(),
        targets=torch.zeros(count, 4, 8),
    )


def test_a_quarter_of_few_and_a_number_of_many_is_held_out():
    assert blank(COUNT).held_out == COUNT // 4
    many = blank(1)
    many.images.set_(torch.empty(0, dtype=torch.uint8).expand(4 * HELD_OUT + 50, 0))
    assert many.held_out == HELD_OUT


def test_what_is_held_out_is_never_drawn_and_all_else_is():
    samples = blank(COUNT)
    drawn = samples.random_index(400, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == set(range(samples.held_out, COUNT))
    again = samples.random_index(400, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


@pytest.fixture
def task(monkeypatch) -> LandmarkTask:
    """Told that all points of everybody are in the middle of the picture, where motion leaves them."""

    class Teacher:
        def __call__(self, images):
            return torch.full((len(images), 68, 2), 0.5)

    monkeypatch.setattr(landmarks, "DlibLandmarks", Teacher)
    return LandmarkTask(blank(COUNT))


def test_the_landmark_network_is_told_the_teachers_points(task):
    def losses(x: float) -> dict[str, torch.Tensor]:
        return task.losses(
            lambda images: torch.full((len(images), 68, 2), x), 4, 0.0, torch.Generator().manual_seed(1)
        )

    right, wrong, worse = (losses(x)["points"].item() for x in (0.5, 0.6, 0.9))
    assert right < 0.2 < 2 * right + 0.3 < wrong < worse
