"""What stands before a face is seen, and stays."""

import numpy as np
import pytest
import torch

from anonlab.controls import Controls
from anonlab.images import blurred, resize, to_tensor, to_uint8
from anonlab.perception.networks import load_landmarks
from anonlab.perception.regions import around_the_mouth
from anonlab.regeneration.compose import harmonise, measure_blend
from anonlab.regeneration.occlusion import SIZE, beard, glasses, in_front
from anonlab.training.frames import put_on


@pytest.fixture(scope="module")
def faces(synthetic_faces):
    """Two faces `(2, 3, 256, 256)`, and the points of the first."""
    images = resize(synthetic_faces[:2], 256)
    return images, load_landmarks()(images[:1])


def covered(image: torch.Tensor, box: tuple[int, int, int, int], colour) -> tuple[torch.Tensor, ...]:
    left, top, right, bottom = box
    where = torch.zeros(1, 1, 256, 256)
    where[..., top:bottom, left:right] = 1
    return torch.lerp(image, torch.tensor(colour).view(1, 3, 1, 1), where), where


def test_a_mask_over_mouth_and_nose_is_seen_and_little_else(faces):
    images, points = faces
    mouth, chin, nose = (points[0, index] * 256 for index in (62, 8, 30))
    box = (int(mouth[0]) - 40, int(nose[1]), int(mouth[0]) + 40, int(chin[1]) - 2)
    photo, where = covered(images[:1], box, (0.2, 0.3, 0.9))
    found = resize(in_front(photo, images[:1], points), 256)
    assert (found * where).sum() > 0.75 * where.sum()
    assert (found * (1 - blurred(where, 4).gt(0.01).float())).sum() < 0.05 * where.sum()


def test_a_bare_face_has_nothing_in_front(faces):
    images, points = faces
    assert in_front(images[:1], images[:1], points).max() == 0
    assert in_front(images[:1], (0.8 * images[:1] + 0.1), points).max() == 0
    shadow = images[:1].clone()
    shadow[..., :128] = (shadow[..., :128] + 1) * 0.75 - 1  # half of the face is darker
    assert in_front(shadow, images[:1], points).mean() < 0.01


def test_frames_and_freckles_are_of_the_face(faces):
    images, points = faces
    eyes = points[0, 36:48].mean(0) * 256
    line = (int(eyes[0]) - 50, int(eyes[1]) + 8, int(eyes[0]) + 50, int(eyes[1]) + 11)
    photo, _ = covered(images[:1], line, (-0.9, -0.9, -0.9))
    assert in_front(photo, images[:1], points).max() == 0
    assert in_front(photo, images[:1], points).shape == (1, 1, SIZE, SIZE)
    nose = points[0, 33] * 256  # and a strand of hair across the cheeks, which are no feature
    strand = (int(nose[0]) - 50, int(nose[1]) - 12, int(nose[0]) + 50, int(nose[1]) - 8)
    photo, _ = covered(images[:1], strand, (-0.9, -0.9, -0.9))
    assert in_front(photo, images[:1], points).max() == 0


@pytest.mark.parametrize("seed", range(4))
def test_glasses_are_found_and_stay(faces, seed):
    images, points = faces
    pixels = to_uint8(images[:1]).astype(np.float32) / 255
    seen, there = put_on(pixels, points[0].numpy(), np.random.default_rng(seed))
    photo, there = to_tensor((255 * seen).round().astype(np.uint8)), torch.from_numpy(there)[None, None]
    found = glasses(photo)
    assert found[there > 0.9].mean() > 0.7 and found[there == 0].mean() < 0.05
    mask = torch.ones(1, 1, 256, 256)
    stays = measure_blend(images[:1], photo, mask, points, points)[0].stays
    assert stays[there > 0.9].mean() > 0.7
    assert glasses(images[:1]).max() == 0


def test_what_is_in_front_does_not_colour_the_skin(faces):
    images, points = faces
    mouth = points[0, 62] * 256
    box = (int(mouth[0]) - 40, int(mouth[1]) - 20, int(mouth[0]) + 40, int(mouth[1]) + 30)
    photo, where = covered(images[:1], box, (0.0, 0.1, 0.6))
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 60 : box[1], 60:196] = 1
    beside = torch.zeros_like(mask)
    beside[..., box[1] - 8 : box[1] - 2, box[0] : box[2]] = 1
    truth = images[:1]

    def error(made: torch.Tensor) -> float:
        return ((made - truth).abs() * beside).sum().item() / beside.sum().item()

    assert error(harmonise(truth, photo, mask, 1 - where)) < 0.5 * error(harmonise(truth, photo, mask))


def moustached(image: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The face with a black moustache, and where it is."""
    nose, (left, right), lip = points[0, 33] * 256, points[0, [48, 54], 0] * 256, points[0, 51, 1] * 256
    return covered(image, (int(left), int(nose[1]) + 4, int(right), int(lip) - 1), (-0.9, -0.9, -0.85))


def test_a_moustache_that_the_new_face_has_not_stays(faces):
    images, points = faces
    photo, where = moustached(images[:1], points)
    found = beard(photo, images[:1], points)
    assert (found * where).sum() > 0.7 * where.sum()
    assert (found * (1 - blurred(where, 4).gt(0.01).float())).sum() < 0.05 * where.sum()
    assert beard(photo, photo, points).max() == 0  # the new face has it, too
    assert beard(images[:1], photo, points).max() == 0  # only the new one has it
    blend, _ = measure_blend(images[:1], photo, torch.ones(1, 1, 256, 256), points, points)
    assert (blend.stays * where).sum() > 0.7 * where.sum()
    bare = Controls(include=("mouth",))  # a new mouth is asked for
    blend, _ = measure_blend(images[:1], photo, torch.ones(1, 1, 256, 256), points, points, bare)
    assert (blend.stays * where).sum() < 0.1 * where.sum()


@pytest.mark.parametrize("box", [(-30, 2, 30, 5), (-5, 2, 5, 9)], ids=["a line", "a spot"])
def test_the_shadow_of_a_lip_is_no_beard(faces, box):
    images, points = faces
    x, y = (points[0, 57] * 256).round().int().tolist()  # below the lips
    left, top, right, bottom = box
    photo, _ = covered(images[:1], (x + left, y + top, x + right, y + bottom), (-0.9, -0.9, -0.9))
    assert beard(photo, images[:1], points).max() == 0


def test_a_bare_chin_in_another_light_is_no_beard(faces):
    images, points = faces
    darker = (images[:1] + 1) * 0.9 - 1
    assert beard(darker, images[:1], points).max() == 0


def test_around_the_mouth_is_below_the_nose_and_no_lip(faces):
    _, points = faces
    where = around_the_mouth(points)[0, 0]
    x, y = (points[0] * 256).round().long().unbind(1)
    assert where[y[57] + 8, x[57]] == 1 and where[y[51] - 4, x[51]] == 1
    assert where[y[30], x[30]] == 0 and where[y[66], x[66]] == 0
