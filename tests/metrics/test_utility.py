"""Head pose: a head that was turned by a known angle, seen by an independent camera."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anonlab.metrics import POSE_NAMES, head_pose
from anonlab.metrics.utility import HEAD
from anonlab.perception.landmarks import MIRROR
from anonlab.recognizers.estimators import DlibLandmarks

TURNED = list(itertools.product((-25.0, 0.0, 40.0), (-15.0, 0.0, 20.0), (-30.0, 0.0, 10.0)))


def seen(yaw: float, pitch: float, roll: float, scale: float = 0.02, shift=(0.5, 0.4)) -> torch.Tensor:
    """The model's own points under an orthographic camera: `(1, 68, 2)`, y down.

    Turned in its own axes (x right, y up, z to the camera): pitch, then yaw, then roll.
    """
    turned = Rotation.from_euler("XYZ", [pitch, yaw, roll], degrees=True).apply(list(HEAD.values()))
    points = np.random.default_rng(0).random((68, 2))  # those that the pose must not look at
    points[list(HEAD)] = turned[:, :2] * (scale, -scale) + shift
    return torch.from_numpy(points)[None]


@pytest.mark.parametrize("angles", TURNED, ids=str)
def test_a_turned_head_is_turned_by_so_much(angles):
    assert head_pose(seen(*angles))[0].tolist() == pytest.approx(list(angles), abs=0.01)


def test_a_straight_head_is_at_zero_and_the_names_say_which_angle_is_which():
    assert head_pose(seen(0, 0, 0)).abs().max() < 1e-6
    for index, name in enumerate(POSE_NAMES):
        found = head_pose(seen(**{"yaw": 0.0, "pitch": 0.0, "roll": 0.0} | {name: 12.0}))[0]
        assert found.abs().argmax() == index
        assert found[index] == pytest.approx(12, abs=0.01)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0, 0)), (30.0, (700.0, -200.0)), (1e-3, (9, 9))])
def test_size_and_place_do_not_matter(scale, shift):
    torch.testing.assert_close(head_pose(seen(20, -10, 5, scale, shift)), head_pose(seen(20, -10, 5)))


def test_several_heads_are_several_rows():
    many = torch.cat([seen(*angles) for angles in TURNED])
    torch.testing.assert_close(head_pose(many), torch.tensor(TURNED).double(), atol=0.01, rtol=0)


def test_noise_of_a_hundredth_of_the_face_turns_it_by_few_degrees():
    clean = seen(20, -10, 5)
    width = clean[0, 26, 0] - clean[0, 17, 0]
    noise = torch.randn(200, 68, 2, generator=torch.Generator().manual_seed(0)).double()
    off = (head_pose(clean + 0.01 * width * noise) - torch.tensor([20.0, -10.0, 5.0])).std(0)
    assert (off < 4).all() and (off > 0.1).all()


def flipped(points: torch.Tensor) -> torch.Tensor:
    return points[:, list(MIRROR)] * torch.tensor([-1.0, 1.0], dtype=points.dtype)


@pytest.mark.parametrize("angles", TURNED[::5], ids=str)
def test_in_a_mirror_yaw_and_roll_change_sides_and_pitch_does_not(angles):
    expected = head_pose(seen(*angles)) * torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(head_pose(flipped(seen(*angles))), expected)


def test_a_mirrored_photo_has_the_mirrored_pose(astronaut_face):
    pytest.importorskip("dlib")
    points = DlibLandmarks()(torch.cat([astronaut_face, astronaut_face.flip(-1)]))
    one, other = head_pose(points)
    assert (one - other * torch.tensor([-1.0, 1.0, -1.0])).abs().max() < 5
    assert one.abs().max() < 30  # she looks at the camera


@pytest.mark.parametrize("degrees", [-35.0, 15.0])
def test_a_turned_picture_is_a_rolled_head(degrees):
    """Against the clock, as one looks at the picture, is positive."""
    angle = np.deg2rad(degrees)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = torch.tensor([[0.0, 0.0, degrees]]).double()
    torch.testing.assert_close(head_pose(seen(0, 0, 0) @ turn), expected, atol=0.01, rtol=0)
