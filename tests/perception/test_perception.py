"""Stage 1: the mathematics of attribution, and the masks made of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from anonlab.errors import UnknownOption
from anonlab.images import blurred, resize
from anonlab.perception.attribution import Inquiry, cosine_score, identity_score, integrated_gradients
from anonlab.perception.masks import mask_from_attribution, masked_face
from anonlab.perception.perception import attribute
from anonlab.recognizers import distance


@pytest.fixture(scope="module")
def faces(astronaut_face, synthetic_faces):
    return [resize(face, 256) for face in (astronaut_face, *synthetic_faces[:2].split(1))]


def test_attributions_sum_to_the_score_difference(recognizer, faces):
    for face in faces:
        score = identity_score(recognizer, recognizer.embed(face))
        with torch.no_grad():
            difference = (score(face) - score(blurred(face, 16))).item()
        total = integrated_gradients(Inquiry(recognizer, face)).sum().item()
        assert difference > 0.3  # nobody is recognised in the blurred face
        assert abs(total - difference) <= 0.05 * difference


def test_trap_the_gradient_of_similarity_to_oneself_is_zero(recognizer, faces):
    """Why attribution needs a path: at the maximum there is no slope."""
    face = faces[0].clone().requires_grad_(True)
    score = cosine_score(recognizer, recognizer.embed(face))
    (gradient,) = torch.autograd.grad(score(face).sum(), face)
    path = integrated_gradients(Inquiry(recognizer, faces[0]))
    assert gradient.abs().max() < 1e-6
    assert path.abs().max() > 1000 * gradient.abs().max()


def test_blurring_what_is_attributed_hides_more_than_chance(recognizer, faces):
    for face in faces:
        heat = attribute(recognizer, face)
        noise = torch.rand(heat.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            source = recognizer.embed(face)
            moved = []
            for ranking in (heat, noise):
                mask = mask_from_attribution(ranking, 0.1, softness=0)
                hidden = face + mask * (blurred(face, 16) - face)
                moved.append(distance(recognizer, recognizer.embed(hidden), source).item())
        assert moved[0] > 1.5 * moved[1]


def test_attribution_is_a_map_between_0_and_1(recognizer, astronaut_face):
    heat = attribute(recognizer, astronaut_face)
    assert heat.shape == (1, 1, 256, 256)
    assert heat.min() >= 0
    assert heat.max() == 1
    # identity is in the face, not in the corners
    assert heat[..., 80:220, 60:196].sum() > 0.8 * heat.sum()


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


def test_ties_do_not_flood_the_mask():
    flat = torch.zeros(1, 1, 64, 64)
    flat[..., 10:12, 10:12] = 1
    assert mask_from_attribution(flat, 0.1, softness=0).sum() == round(0.1 * 64 * 64)


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


def test_resize_downwards_is_the_mean():
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(resize(image, 16), F.avg_pool2d(image, 4))
    assert resize(image, 64) is image
