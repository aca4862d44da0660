"""How photo and new face are joined: lost parts, sharpness, light and tone."""

from __future__ import annotations

import math

import pytest
import torch

from anonlab.images import blurred, pasted, resize
from anonlab.perception.landmarks import load_landmarks
from anonlab.perception.regions import face_band
from anonlab.recognizers import distance
from anonlab.regeneration.compose import (
    compose,
    detail_blur,
    harmonise,
    match_sharpness,
    motion_blur,
    with_blur,
    with_motion,
    without_lost_parts,
)


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


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_a_sharp_face_becomes_as_soft_as_the_photo(synthetic_faces, sigma):
    sharp = synthetic_faces[:1]
    mask = torch.ones(1, 1, 512, 512)
    soft = blurred(sharp, sigma)
    assert (match_sharpness(sharp, soft, mask) - soft).abs().mean() < 0.003
    assert torch.equal(match_sharpness(soft, sharp, mask), soft)  # detail cannot be invented


@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_a_smeared_photo_gets_a_face_smeared_along_the_same_line(synthetic_faces, angle):
    sharp, mask = synthetic_faces[:1], torch.ones(1, 1, 512, 512)
    smeared = with_motion(sharp, 8.0, (math.cos(angle), math.sin(angle)))
    sigma, (x, y) = motion_blur(sharp, smeared, mask)
    assert sigma == pytest.approx(8, rel=0.3)
    assert abs(x * math.cos(angle) + y * math.sin(angle)) > math.cos(0.15)
    round_blur = with_blur(sharp, detail_blur(sharp, smeared, mask))
    matched = match_sharpness(sharp, smeared, mask)
    assert (matched - smeared).abs().mean() < 0.5 * (round_blur - smeared).abs().mean()
    assert motion_blur(sharp, blurred(sharp, 3.0), mask)[0] == 0  # out of focus is no smear
    assert motion_blur(synthetic_faces[1:2], sharp, mask)[0] == 0  # nor is another face


def test_only_what_is_masked_says_how_sharp(synthetic_faces):
    """A blurred background behind a sharp face leaves the new face sharp."""
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 128:384, 128:384] = 1
    photo = torch.lerp(blurred(synthetic_faces[:1], 4.0), synthetic_faces[:1], mask)
    matched = match_sharpness(synthetic_faces[:1], photo, mask)
    assert (matched - synthetic_faces[:1]).abs().mean() < 0.01


def test_without_a_mask_nothing_is_compared(synthetic_faces):
    """And a sharp face at twice the size gets twice the blur."""
    nothing = torch.zeros(1, 1, 512, 512)
    face = synthetic_faces[:1]
    assert torch.equal(match_sharpness(face, blurred(face, 3.0), nothing), face)
    large = resize(face, 1024)
    mask = torch.ones(1, 1, 1024, 1024)
    soft = blurred(large, 5.0)
    assert (match_sharpness(large, soft, mask) - soft).abs().mean() < 0.003


def test_harmonising_removes_a_colour_cast(astronaut_face):
    face = resize(astronaut_face, 256)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:180, 90:166] = 1
    cast = face + torch.tensor([0.2, -0.1, 0.05])[None, :, None, None]
    assert (harmonise(cast, face, mask) - face).abs().mean() < 0.01
    joined = compose(cast, face, mask)
    assert torch.equal(joined[mask.expand(-1, 3, -1, -1) == 0], face[mask.expand(-1, 3, -1, -1) == 0])
    assert (joined - face).abs().max() < 0.05


def test_harmonising_carries_no_detail_of_the_original_inside(astronaut_face, recognizer):
    """Light and tone go in, and nothing that a recogniser could use."""
    face = resize(astronaut_face, 256)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 60:220, 60:196] = 1
    flat = torch.zeros_like(face)
    inside = harmonise(flat, face, mask)[..., 100:180, 100:156]
    stripes = 0.2 * (torch.arange(256) // 2 % 2 * 2 - 1)  # four pixels from one to the next
    changed = harmonise(flat, face + mask * stripes, mask)[..., 100:180, 100:156]
    change = changed - inside
    assert (change - blurred(change, 3.0)).abs().max() < 0.005  # no stripes
    darker = harmonise(face, face - 0.1 * mask, mask) - face
    assert darker[..., 100:180, 100:156].mean() == pytest.approx(-0.1, abs=0.02)
    shown = pasted(face, harmonise(flat, face, mask), mask)
    assert distance(recognizer, *recognizer.embed(torch.cat([shown, face]))[:, None]).item() > 0.6


def test_harmonising_takes_no_colour_from_another_thing():
    """A face of another grey, and close to it a white wall where the new picture has none."""
    photo = torch.zeros(1, 3, 256, 256)
    photo[..., 160:] = 1
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:156, 100:156] = 1
    changed = harmonise(torch.full_like(photo, -0.1), photo, mask)
    assert changed[..., 100:156, 100:156].abs().max() < 0.01
