"""Steady crops: what moves evenly stays as it is, what trembles does not."""

import numpy as np

from anonlab.apps.video.planning import FARTHEST, filled, smooth, steady_points
from anonlab.photo.faces import Face

FIVE = np.array([[40.0, 40], [80, 40], [60, 60], [45, 80], [75, 80]])


def test_a_steady_motion_is_not_changed_even_at_the_ends():
    at = np.array([0, 1, 2, 3, 5, 5.5, 8, 9, 10])  # variable rate
    values = np.stack([3 * at - 1, 7 - 2 * at], 1)
    np.testing.assert_allclose(smooth(at, values, 2.0), values, atol=1e-9)
    beyond = np.array([-2.0, 12.0])
    np.testing.assert_allclose(filled(beyond, at, values), np.stack([3 * beyond - 1, 7 - 2 * beyond], 1))


def test_a_trembling_crop_becomes_steady_and_stays_in_its_place():
    rng = np.random.default_rng(0)
    at = np.arange(60.0)
    truth = FIVE + np.stack([1.5 * at, 20 * np.sin(at / 12)], 1)[:, None]
    seen = truth + rng.normal(0, 0.8, truth.shape)
    steady = steady_points(at, at, seen)

    def side(points):
        return np.array([np.hypot(*Face((0, 0, 1, 1), one, 1).to_photo(1)[:, 0]) for one in points])

    assert np.diff(side(steady)).std() < 0.25 * np.diff(side(seen)).std()
    assert np.abs(steady.mean(1) - truth.mean(1)).max() < 1.0  # no lag behind the motion
    second = np.abs(np.diff(steady.mean(1), 2, axis=0)).mean()
    assert second < 0.4 * np.abs(np.diff(seen.mean(1), 2, axis=0)).mean()


def test_where_a_face_jumps_its_crop_jumps_with_it():
    at = np.arange(12.0)
    truth = FIVE + np.where(at < 6, 0, 90)[:, None, None]
    size = np.hypot(*(FIVE - FIVE.mean(0)).T).mean()
    assert np.abs(steady_points(at, at, truth) - truth).max() <= FARTHEST * size + 1e-9 < 7
