"""What of a mask is new: the part that hides the person, and no more."""

import pytest
import torch

from anonlab.controls import Controls
from anonlab.images import resize
from anonlab.perception.masks import mask_of_regions
from anonlab.perception.networks import load_landmarks
from anonlab.perception.regions import whole_face
from anonlab.recognizers import distance
from anonlab.regeneration.compose import compose
from anonlab.regeneration.needed import needed_mask


@pytest.fixture(scope="module")
def two(synthetic_faces):
    """A face, another one in its place, a mask of most of it, and its points."""
    old, new = (resize(one[None], 256) for one in synthetic_faces[:2])
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 60:220, 50:206] = 1
    return new, old, mask, load_landmarks()(old)


def test_the_part_that_is_new_hides_more_than_the_rest_and_changes_less(recognizer, two):
    new, old, mask, points = two
    part = needed_mask(recognizer, old, compose(new, old, mask), mask, points, Controls(give_back=0.4))
    assert 0.7 * 0.6 * mask.mean() < part.mean() < 1.02 * 0.6 * mask.mean()
    assert (part <= mask).all()
    beside = 1 - whole_face(points)
    assert (part * beside).sum() < 0.15 * part.sum()  # its soft edge, and the roots of hair
    hidden, rest = (
        distance(recognizer, recognizer.embed(compose(new, old, one)), recognizer.embed(old)).item()
        for one in (part, mask - part)
    )
    assert hidden > 1.2 * rest


def test_beside_the_face_nothing_is_new_however_little_is_asked_back(recognizer, two):
    new, old, mask, points = two
    everywhere = torch.ones_like(mask)
    part = needed_mask(
        recognizer, old, compose(new, old, everywhere), everywhere, points, Controls(give_back=0.1)
    )
    assert (part * (1 - whole_face(points))).sum() < 0.15 * part.sum()


def test_new_hair_is_not_painted_over_a_forehead(recognizer, two):
    _, old, mask, points = two
    dark = old.clone()
    rows = (points[0, 17:27, 1].min() * 256).int() - 24  # well above the brows
    dark[..., : rows + 8, :] = -1
    part = needed_mask(recognizer, old, dark, torch.ones_like(mask), points, Controls(give_back=0.1))
    assert part[..., :rows, :].max() < 0.1


def test_regions_that_were_asked_for_are_new(recognizer, two):
    new, old, mask, points = two
    part = needed_mask(
        recognizer,
        old,
        compose(new, old, mask),
        mask,
        points,
        Controls(give_back=0.4, include=("forehead",)),
    )
    asked = mask_of_regions(points, ("forehead",)) * mask
    assert (part[asked > 0] == 1).all()


def test_without_gradients_and_without_a_mask_nothing_is_given_back(recognizer, two):
    new, old, mask, points = two
    blind = type("Blind", (), {"differentiable": False})()
    assert needed_mask(blind, old, new, mask, points, Controls(give_back=0.4)) is mask
    assert needed_mask(recognizer, old, new, mask, points, Controls(give_back=0)) is mask
    empty = 0 * mask
    assert needed_mask(recognizer, old, new, empty, points, Controls(give_back=0.4)) is empty
