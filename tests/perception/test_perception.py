"""Stage 1: the mathematics of attribution, and the masks made of it."""

import pytest
import torch

from anonlab.errors import UnknownOption
from anonlab.images import blurred, resize
from anonlab.perception.masks import mask_from_attribution, masked_face
from anonlab.perception.perception import attribute


@pytest.fixture(scope="module")
def faces(astronaut_face, synthetic_faces):
    return [resize(face, 256) for face in (astronaut_face, *synthetic_faces[:2].split(1))]


@pytest.mark.parametrize("area", [0.0, 0.02, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_mask_has_the_area_that_was_asked_for(area):
    heat = blurred(torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1)), 8)
    hard = mask_from_attribution(heat, area, softness=0)
    assert abs(hard.mean().item() - area) <= 1 / 256**2
    soft = mask_from_attribution(heat, area)
    assert abs(soft.mean().item() - area) < 0.02
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_larger_areas_contain_smaller_ones_and_the_most_important_pixels(recognizer, faces):
    heat = attribute(recognizer, faces[0])
    small, large = (mask_from_attribution(heat, area, softness=0) for area in (0.1, 0.3))
    assert (large >= small).all()
    assert heat[small == 1].min() >= heat[small == 0].max()


def test_masked_face_keeps_what_is_outside_and_nothing_inside(faces):
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:128, 64:128] = 1
    masked = masked_face(faces[0], mask)
    assert (masked[..., 64:128, 64:128] == 0).all()
    assert torch.equal(masked[..., 128:, :], faces[0][..., 128:, :])


@pytest.mark.parametrize("area", [-0.1, 1.1, float("nan")])
def test_an_impossible_area_is_refused(area):
    with pytest.raises(UnknownOption, match="mask_area"):
        mask_from_attribution(torch.ones(1, 1, 8, 8), area)
