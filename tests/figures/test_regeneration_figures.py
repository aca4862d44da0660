"""What the figures of stage 3 measure: the plane of a turn, the ring of a seam, the worst places."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from anonlab.identity.virtual import IdentityPath
from anonlab.notebook.regeneration_figures import (
    seam_ring,
    turn_figure,
    turn_plane,
    worst_places,
)


def path(angle: float, tilt: float = 0.0) -> IdentityPath:
    """A person 0.5 from the origin, turned by `angle` degrees; the direction leans by `tilt`."""
    origin, axis = torch.full((1, 8), 0.3), torch.eye(8)[2]
    direction = F.normalize(torch.eye(8)[5] + tilt * axis, dim=0)
    return IdentityPath(
        *(origin + 0.5 * axis, origin, axis[None], direction[None]),
        *torch.tensor([[[math.radians(angle)]], [[0.2]]]),
    )


def test_the_plane_keeps_lengths_and_angles_of_the_turn():
    for turned in (path(100), path(100, tilt=0.3)):
        person, target = turn_plane(turned, torch.cat([turned.source, turned.at(1.0).target]))
        torch.testing.assert_close(person, torch.tensor([0.5, 0.0]))
        torch.testing.assert_close(target.norm(), (turned.at(1.0).target - turned.origin).norm())
        cosine = F.cosine_similarity(person, target, dim=0).item()
        assert abs(cosine - turned.at(1.0).cosine) < 1e-5


def test_the_turn_is_labelled_with_the_angle_that_it_has():
    [axis] = turn_figure(path(100), torch.rand(20, 8)).axes
    assert "the new identity, 100°" in [text.get_text() for text in axis.texts]
    [axis] = turn_figure(path(100, tilt=0.3), torch.rand(20, 8)).axes
    assert "the new identity, 100°" not in [text.get_text() for text in axis.texts]


def test_the_ring_is_outside_the_mask_and_as_wide_as_asked():
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:150, 100:150] = 1
    ring = seam_ring(mask, width=8)
    assert ring.sum() == 66**2 - 50**2
    assert (ring * mask).sum() == 0
    assert seam_ring(F.interpolate(mask, scale_factor=2), width=8).sum() == 4 * ring.sum()


def test_the_worst_places_are_found_in_order_and_apart():
    error = torch.zeros(1, 1, 128, 128)
    error[..., 20, 20], error[..., 100, 90] = 1.0, 2.0
    first, second = worst_places(error, 2, 32)
    assert first[0] <= 100 < first[0] + 32 and first[1] <= 90 < first[1] + 32
    assert second[0] <= 20 < second[0] + 32 and second[1] <= 20 < second[1] + 32
