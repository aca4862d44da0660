"""Every face of a photo is found: turned, small, beside an edge; each once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo


@pytest.fixture(scope="module")
def upright(astronaut_found) -> Face:
    return astronaut_found


@pytest.mark.parametrize("shape", [(1, 3, 12, 12), (2, 3, 61, 74), (1, 3, 13, 200)])
def test_mtcnn_s_first_stage_answers_as_it_does_in_torch(detector, shape):
    first, pictures = detector.mtcnn.pnet, torch.rand(shape, generator=torch.Generator()) * 2 - 1
    torch.testing.assert_close(first(pictures), first.pnet(pictures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_lying_face_is_found_where_it_is_and_again(astronaut, detector, upright, quarters):
    lying = Photo(np.rot90(astronaut.pixels, quarters).copy(), "lying")
    [face, *_] = detector(lying)
    points, side, size = upright.points, astronaut.pixels.shape[0], np.sqrt(upright.area)
    assert astronaut.pixels.shape[1] == side
    for _ in range(quarters):  # counterclockwise: (x, y) to (y, side - x)
        points = np.stack([points[:, 1], side - points[:, 0]], 1)
    assert np.abs(face.points - points).max() < 0.08 * size
    # and it is aligned upright, as if it had never been turned
    assert (align(lying, face, 256) - align(astronaut, upright, 256)).abs().mean() < 0.15
    assert np.abs(detector.again(lying, face).points - face.points).max() < 0.06 * size
    assert detector.again(Photo(np.full_like(lying.pixels, 90), "empty"), face) is None


def test_the_points_of_a_face_on_the_slant_are_where_they_are(astronaut, detector, upright):
    angle = -60
    image = Image.fromarray(astronaut.pixels)
    middle = np.array(image.size) / 2
    [face, *_] = detector(Photo(np.asarray(image.rotate(angle, Image.Resampling.BICUBIC)), "slanted"))
    along, across = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    points = (upright.points - middle) @ np.array([[along, -across], [across, along]]) + middle
    between_eyes = np.hypot(*(upright.points[1] - upright.points[0]))
    assert np.hypot(*(face.points - points).T).mean() < 0.06 * between_eyes
    assert face.roll == pytest.approx(abs(angle), abs=6)


def test_small_faces_are_found_in_large_photos(detector, upright, astronaut):
    pixels = 26
    large = np.full((1800, 2400, 3), 110, np.uint8)
    scale = pixels / (upright.box[2] - upright.box[0])
    small = Image.fromarray(astronaut.pixels)
    small = small.resize([round(side * scale) for side in small.size], Image.Resampling.LANCZOS)
    left, top = 1700, 900
    large[top : top + small.height, left : left + small.width] = np.asarray(small)
    [face] = detector(Photo(large, "large"))
    assert np.abs(face.points - (upright.points * scale + [left, top])).max() < 0.12 * pixels


def test_the_mirror_image_of_a_face_beside_the_edge_is_no_face(astronaut, detector, upright):
    cut = int(upright.box[0] - 0.1 * (upright.box[2] - upright.box[0]))
    whole = Photo(astronaut.pixels[:, cut:].copy(), "whole")
    assert len(detector(whole)) == 1


def test_how_far_a_head_is_turned(upright):
    straight = np.array([[100, 100], [160, 100], [130, 135], [108, 165], [152, 165]], float)
    beside = straight + np.array([[0, 0], [0, 0], [30, 0], [0, 0], [0, 0]])
    angle = np.deg2rad(40)
    tilt = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert replace(upright, points=straight).turn == pytest.approx(0, abs=1e-9)
    assert replace(upright, points=beside).turn == pytest.approx(0.5, abs=0.01)
    assert replace(upright, points=beside @ tilt).turn == pytest.approx(0.5, abs=0.01)
