"""Facial regions: which share of a face a mask covers, and which region is warm."""

import pytest
import torch

from anonlab.controls import REGIONS
from anonlab.images import resize
from anonlab.perception.networks import load_landmarks
from anonlab.perception.regions import heat_of_regions, region_masks, share_of_face, whole_face


@pytest.fixture(scope="module")
def points(astronaut_face):
    with torch.no_grad():
        return load_landmarks()(resize(astronaut_face, 256))


@pytest.fixture(scope="module")
def regions(points):
    return region_masks(points)


def test_the_share_of_the_face_is_not_the_share_of_the_picture(points, regions):
    face = whole_face(points)
    assert torch.equal(face, sum(regions.values()))
    assert share_of_face(face, face) == 1 and share_of_face(1 - face, face) == 0
    eyes = regions["eyes"]
    assert share_of_face(eyes, face) == pytest.approx((eyes.sum() / face.sum()).item())
    assert share_of_face(eyes, face) > 2 * eyes.mean()  # the face is less than half of the picture


def test_heat_of_regions_is_one_where_heat_is_even_and_says_what_is_warm(points, regions):
    even = heat_of_regions(torch.full((1, 1, 256, 256), 0.3), points)
    assert list(even) == list(REGIONS)
    assert list(even.values()) == pytest.approx([1] * len(REGIONS), abs=1e-4)
    nose = heat_of_regions(0.5 + regions["nose"], points)
    share = share_of_face(regions["nose"], whole_face(points))
    assert nose["nose"] == pytest.approx(1.5 / (0.5 + share), rel=1e-4)
    assert nose["mouth"] == pytest.approx(0.5 / (0.5 + share), rel=1e-4)
