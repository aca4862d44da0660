"""The new face keeps the colour of the person's eyes."""

from __future__ import annotations

import pytest
import torch
from painting import coordinates, with_irises

from anonlab.images import resize
from anonlab.perception.eyes import eye_windows, iris_colours
from anonlab.perception.landmarks import load_landmarks
from anonlab.regeneration.irises import looking, match_irises, open_eyes


@pytest.fixture(scope="module")
def points(synthetic_faces):
    return load_landmarks()(synthetic_faces)


def test_irises_get_the_colour_of_the_photo(synthetic_faces, points):
    """Asked of the measure of the evaluation, which finds irises in its own way."""
    wanted = iris_colours(synthetic_faces, points)[:, 0]
    before, after = [], []
    for a in range(len(synthetic_faces)):
        b = (a + 1) % len(synthetic_faces)
        made = match_irises(
            synthetic_faces[a : a + 1], synthetic_faces[b : b + 1], points[a : a + 1], points[b : b + 1]
        )
        before.append(
            (iris_colours(synthetic_faces[a : a + 1], points[a : a + 1])[0, 0] - wanted[b]).abs()
        )
        after.append((iris_colours(made, points[a : a + 1])[0, 0] - wanted[b]).abs())
    assert torch.stack(after).mean() < 0.5 * torch.stack(before).mean()


def test_points_that_are_no_numbers_are_no_eyes(synthetic_faces, points):
    assert open_eyes(synthetic_faces[:1], points[:1])
    assert not open_eyes(synthetic_faces[:1], torch.full_like(points[:1], torch.nan))


def test_nothing_but_irises_changes(synthetic_faces, points):
    one, other = synthetic_faces[:1], synthetic_faces[1:2]
    change = (match_irises(one, other, points[:1], points[1:2]) - one).abs().amax(1)[0]
    centres, across, _ = eye_windows(points[:1])
    grid_x, grid_y = coordinates(one)
    away = torch.ones(512, 512, dtype=torch.bool)
    for centre, width in zip(centres[0], across[0].norm(dim=1), strict=True):
        x, y = grid_x - centre[0], grid_y - centre[1]
        away &= (x.square() + y.square()).sqrt() > 0.5 * width
    assert change[~away].max() > 0.02  # somebody else's eyes
    assert change[away].max() < 1e-3
    assert torch.equal(match_irises(one, one, points[:1], points[:1]), one)


def shut(points: torch.Tensor, eyes: tuple[int, ...]) -> torch.Tensor:
    """The same points with eyes whose lids touch."""
    points = points.clone()
    for eye in eyes:
        for upper, lower in (((37, 41), (38, 40)), ((43, 47), (44, 46)))[eye]:
            points[:, upper] = points[:, lower]
    return points


def test_an_eye_gets_nothing_of_the_other_eye(synthetic_faces, points):
    """The photo's eye on the left is painted black: on the right, next to nothing changes."""
    one, photo = synthetic_faces[:1], synthetic_faces[1:2]
    black = with_irises(photo, points[1:2], 0)
    painted = torch.cat([black[..., :256], photo[..., 256:]], 3)
    plain, changed = (match_irises(one, of, points[:1], points[1:2]) for of in (photo, painted))
    left, right = (plain - changed)[..., :256].abs().max(), (plain - changed)[..., 256:].abs().max()
    assert left > 0.05
    assert right < 0.2 * left  # both look the same way, and that is found by both


def test_a_shut_eye_keeps_its_lid(synthetic_faces, points):
    one, other = synthetic_faces[:1], synthetic_faces[1:2]
    both = (0, 1)
    assert torch.equal(match_irises(one, other, shut(points[:1], both), points[1:2]), one)
    assert torch.equal(match_irises(one, other, points[:1], shut(points[1:2], both)), one)


def test_who_winks_keeps_two_eyes_of_one_colour(synthetic_faces, points):
    """The colour of the eye that is open goes to both."""
    one, other = synthetic_faces[:1], synthetic_faces[1:2]
    made = match_irises(one, other, points[:1], shut(points[1:2], (0,)))
    eyes, photo = open_eyes(made, points[:1]), open_eyes(other, points[1:2])
    way = looking(open_eyes(one, points[:1]))
    wanted = photo[1].part[0][:, photo[1].iris(looking({1: photo[1]}))].median(1).values
    for eye in (0, 1):
        found = eyes[eye].part[0][:, eyes[eye].iris(way)].median(1).values
        assert (found - wanted).abs().max() < 0.06


def drawn_eyes(way: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of two eyes that look to one side, a shadow in one corner, and its points."""
    points = torch.zeros(1, 68, 2)
    picture = torch.full((1, 3, 256, 256), 0.6)
    x, y = torch.arange(256)[None] + 0.5, torch.arange(256)[:, None] + 0.5
    for first, middle in ((36, 80.0), (42, 176.0)):
        lids = ((-25, 0), (-8, -8), (8, -8), (25, 0), (8, 8), (-8, 8))
        points[0, first : first + 6] = torch.tensor([(middle + a, 128.0 + b) for a, b in lids]) / 256
        disc = ((x - middle - way * 50).square() + (y - 128).square()).sqrt() < 9.5
        picture[:, :, disc] = -0.2
    corner = ((x - 201).square() + (y - 128).square()).sqrt() < 9.5
    picture[:, :, corner] = -0.6  # darker than the iris
    return picture, points


@pytest.mark.parametrize("way", [-0.1, 0.0, 0.08])
def test_both_eyes_look_the_same_way_and_a_shadow_is_no_iris(way):
    picture, points = drawn_eyes(way)
    eyes = open_eyes(picture, points)
    assert looking(eyes) == pytest.approx(way, abs=0.021)
    for one in eyes.values():
        assert (one.part[0, 0][one.iris(way)] < 0).float().mean() > 0.97


def test_a_face_of_a_few_pixels_has_no_irises(synthetic_faces, points):
    small = resize(synthetic_faces[:1], 16)
    assert torch.equal(match_irises(small, small.flip(3), points[:1], points[:1]), small)
