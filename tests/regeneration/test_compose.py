"""What of the mask is given back to the photo before photo and new face are joined."""

from __future__ import annotations

import torch

from anonlab.perception.landmarks import load_landmarks
from anonlab.perception.regions import face_band
from anonlab.regeneration.compose import without_lost_parts


def narrower(points: torch.Tensor, share: float) -> torch.Tensor:
    """The same face, its points `share` nearer to the middle in x."""
    middle = points[:, :, :1].mean(1, keepdim=True)
    return torch.cat([middle + (1 - share) * (points[:, :, :1] - middle), points[:, :, 1:]], 2)


def test_the_band_holds_the_face_and_what_is_above_it(synthetic_faces):
    points = load_landmarks()(synthetic_faces[:1])
    band = face_band(points)
    x, y = (256 * points[0, 30]).round().int().tolist()  # the tip of the nose
    chin = round(256 * points[0, 8, 1].item())
    assert band[0, 0, y, x] == band[0, 0, 2, x] == 1
    assert band[0, 0, chin + 6 :].sum() == 0
    assert band[0, 0, y, 2] == band[0, 0, y, -3] == 0
    wider = face_band(points, wider=0.05)
    assert wider.sum() > band.sum() and (wider >= band).float().mean() > 0.999


def test_where_the_new_face_is_narrower_the_photo_stays(synthetic_faces):
    points = load_landmarks()(synthetic_faces[:1])
    mask = torch.ones(1, 1, 256, 256)
    kept = without_lost_parts(mask, points, narrower(points, 0.2))
    lost = face_band(points) * (1 - face_band(narrower(points, 0.2)))
    assert kept[lost > 0].mean() < 0.25  # but for the soft line
    x, y = (256 * points[0, 30]).round().int().tolist()
    assert kept[0, 0, y, x] == 1  # the face itself is still replaced
    assert kept[0, 0, -4:].mean() == 1  # and what is far from it


def test_a_wider_face_keeps_the_mask(synthetic_faces):
    points = load_landmarks()(synthetic_faces[:1])
    mask = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = without_lost_parts(mask, points, narrower(points, -0.3))
    assert (kept - mask).abs().mean() < 0.01
