"""The new face keeps the colour of the person's eyes."""

from __future__ import annotations

import pytest
import torch
from painting import coordinates, with_irises

from anonlab.images import resize
from anonlab.perception.eyes import eye_windows, iris_colours
from anonlab.perception.landmarks import load_landmarks
from anonlab.regeneration.irises import iris, match_irises


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


def test_an_eye_gets_nothing_of_the_other_eye(synthetic_faces, points):
    """The photo's eye on the left is painted black: on the right, nothing changes."""
    one, photo = synthetic_faces[:1], synthetic_faces[1:2]
    black = with_irises(photo, points[1:2], 0)
    painted = torch.cat([black[..., :256], photo[..., 256:]], 3)
    plain, changed = (match_irises(one, of, points[:1], points[1:2]) for of in (photo, painted))
    assert (plain - changed)[..., :256].abs().max() > 0.05
    assert torch.equal(plain[..., 256:], changed[..., 256:])


def test_a_shut_eye_keeps_its_lid(synthetic_faces, points):
    one, other = synthetic_faces[:1], synthetic_faces[1:2]
    shut = points[:1].clone()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        shut[:, upper] = shut[:, lower]
    assert torch.equal(match_irises(one, other, shut, points[1:2]), one)
    assert torch.equal(match_irises(one, other, points[:1], shut), one)


def test_it_is_found_where_the_eye_looks(synthetic_faces):
    """A dark disc to the right of the middle of an eye that is drawn."""
    picture = torch.full((1, 3, 64, 100), 0.6)
    centre, across, opening = torch.tensor([50.0, 32.0]), torch.tensor([50.0, 0.0]), torch.tensor(15.0)
    x, y = torch.arange(100)[None] + 0.5 - 55, torch.arange(64)[:, None] + 0.5 - 32
    picture[:, :, (x.square() + y.square()).sqrt() < 9.2] = -0.7
    _, inside = iris(picture, centre, across, opening)
    assert inside.nonzero()[:, 1].float().mean() + 0.5 == pytest.approx(55, abs=1.5)
    assert (picture[0, 0, inside] < 0).float().mean() > 0.97
    small = resize(synthetic_faces[:1], 16)  # of a few pixels: nothing to be found, and no error
    points = load_landmarks()(synthetic_faces[:1])
    assert torch.equal(match_irises(small, small.flip(3), points, points), small)
