"""The measures over time on made-up signals, whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anonlab.apps.video.temporal import (
    Signals,
    change_outside,
    global_identity,
    local_identity,
    measure,
    second_difference,
)
from anonlab.measured import HIGHER, LOWER


class Plain:
    """A recogniser of four numbers whose mean is zero."""

    mean = torch.zeros(4)
    threshold = 0.6
    metric = "euclidean"


def turned(degrees):
    angle = np.deg2rad(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle, 0 * angle], 1).astype(np.float32)


def test_identity_over_time_is_the_mean_cosine():
    three = turned([0, 30, 90])
    frames = np.arange(3)
    cosines = np.cos(np.deg2rad([30, 60, 90]))
    assert local_identity(Plain, frames, three) == pytest.approx(cosines[:2].mean())
    assert global_identity(Plain, three) == pytest.approx(cosines.mean())
    assert local_identity(Plain, np.array([0, 1, 5]), three) == pytest.approx(cosines[0])


def points(path):
    face = np.zeros((68, 2))
    face[45, 0] = 10  # eye distance
    return face + np.stack([path, np.zeros(len(path))], 1)[:, None]


def test_the_second_difference_is_zero_for_a_steady_motion_and_known_for_a_tremble():
    frames = np.arange(6)
    assert second_difference(frames, points(3.0 * frames)) == pytest.approx(0)
    tremble = np.array([0, 1, 0, 1, 0, 1.0])  # every second difference is 2 px
    assert second_difference(frames, points(tremble)) == pytest.approx(2 / 10)
    assert second_difference(np.array([0, 1, 3, 4, 6, 7]), points(tremble)) is None


def test_measures_say_which_way_is_better_and_leave_covered_frames_out():
    frames = np.arange(6)
    before, after = turned([0, 1, 0, 1, 0, 1]), turned([90, 90, 0, 90, 90, 90])
    covered = frames == 2
    track = Signals(
        frames, before, after, points(frames * 1.0), points(frames * 1.0),
        np.array([0.9, 0.8, 0.1, 0.9, 0.9, 0.9]), covered,
    )  # fmt: skip
    got = measure(Plain, track, outside=0.0)
    assert got["TL-ID"].value == pytest.approx(1, abs=1e-3)  # the covered frame does not count
    assert got["greatest match"].value == pytest.approx(0.1)  # but here it does
    assert got["frames matched"].value == pytest.approx(1 / 6)
    assert got["frames covered"].value == pytest.approx(1 / 6)
    assert {got[name].better for name in ("TL-ID", "TG-ID", "greatest match")} == {HIGHER}
    assert {got[name].better for name in ("jitter", "frames matched", "change outside masks")} == {LOWER}


def test_change_outside_counts_only_what_lies_outside():
    before = np.zeros((4, 4, 3), np.uint8)
    after = before.copy()
    after[0, 0] = 90
    mask = np.zeros((4, 4), bool)
    assert change_outside(before, after, mask) == pytest.approx(90 / 16)
    mask[0, 0] = True
    assert change_outside(before, after, mask) == 0
