"""The warp that gives a new face the photo's shape."""

import torch

from anonlab.images import resize
from anonlab.perception.networks import load_landmarks
from anonlab.regeneration.thin_plate import displaced, displacement


def points_of(seed: int) -> torch.Tensor:
    return 0.25 + 0.5 * torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(seed))


def test_points_that_stay_displace_nothing(synthetic_faces):
    moved = displacement(points_of(0), points_of(0))
    assert moved.abs().max() < 1e-6
    same = displaced(synthetic_faces[:1], moved)
    torch.testing.assert_close(same, synthetic_faces[:1], atol=1e-4, rtol=0)


def test_a_point_comes_to_lie_where_it_shall_and_the_edge_stays():
    """Pictures of their own coordinates: what lies at a place is where it came from."""
    middles = (torch.arange(256) + 0.5) / 256
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    own = 2 * torch.stack([x, y])[None] - 1
    points = points_of(1)
    to = points + 0.02 * torch.randn(points.shape, generator=torch.Generator().manual_seed(2))
    came = (displaced(own, displacement(points, to)) + 1) / 2
    columns, rows = (256 * to[0]).long().unbind(1)
    off = came[0, :, rows, columns].T - points[0]
    assert off.norm(dim=1).mean() < 0.006  # a pixel and a half
    assert (came - (own + 1) / 2)[..., [0, -1], :].abs().max() < 0.003


def test_faces_get_the_shape_that_is_asked_for(synthetic_faces):
    landmarks = load_landmarks()
    points = landmarks(synthetic_faces[:2])
    warped = displaced(synthetic_faces[:1], displacement(points[:1], points[1:]))
    before, after = (
        (landmarks(resize(one, 512)) - points[1:]).norm(dim=2).mean()
        for one in (synthetic_faces[:1], warped)
    )
    assert after < 0.4 * before


def test_points_that_are_no_numbers_displace_nothing():
    assert displacement(torch.full((1, 68, 2), torch.nan), torch.rand(1, 68, 2)).abs().max() == 0
