"""Masks: by threshold and region, mirrored, softened; the regions of a face, and how warm each is."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import seeded

from anonlab.controls import REGIONS, Controls
from anonlab.errors import UnknownOption
from anonlab.images import blurred, resize
from anonlab.metrics.estimators import DlibLandmarks
from anonlab.perception.masks import (
    build_mask,
    mask_by_threshold,
    mask_from_attribution,
    mask_of_regions,
    masked_face,
)
from anonlab.perception.networks import load_landmarks
from anonlab.perception.regions import (
    between_lids,
    heat_of_regions,
    region_masks,
    share_of_face,
    whole_face,
)


@pytest.fixture(scope="module")
def points(face):
    return load_landmarks()(face).detach()


@pytest.fixture(scope="module")
def dlibs_points(astronaut_face):
    """Of the same face, by who did not draw the regions; column and row in pixels of 256."""
    return (DlibLandmarks()(astronaut_face)[0] * 256).long()


@pytest.fixture(scope="module")
def regions(points):
    return region_masks(points)


@pytest.fixture(scope="module")
def heat():
    rough = blurred(torch.rand(1, 1, 256, 256, generator=seeded(1)), 6)
    return (rough - rough.min()) / (rough.max() - rough.min())


def test_threshold_is_exact():
    ramp = torch.linspace(0, 1, 65)[:64].view(1, 1, 8, 8)  # multiples of 1/64, exact in binary
    assert mask_by_threshold(ramp, 0.5).flatten().tolist() == [0.0] * 33 + [1.0] * 31
    assert mask_by_threshold(ramp, 0).sum() == 63
    assert mask_by_threshold(ramp, 1).sum() == 0


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_an_impossible_threshold_or_area_is_refused(value):
    with pytest.raises(UnknownOption, match="threshold"):
        mask_by_threshold(torch.ones(1, 1, 8, 8), value)
    with pytest.raises(UnknownOption, match="mask_area"):
        mask_from_attribution(torch.ones(1, 1, 8, 8), value)


def test_softening_keeps_the_middle_and_the_area():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    soft = build_mask(mask, Controls(mask_threshold=0.5, softness=3))
    assert abs(soft[0, 0, 32, 32].item() - 1) < 1e-3
    assert abs(soft[0, 0, 32, 15:17].mean().item() - 0.5) < 0.01  # across the edge
    assert abs(soft.mean().item() - mask.mean().item()) < 1e-4
    assert soft.min() >= 0 and soft.max() <= 1
    assert torch.equal(build_mask(mask, Controls(mask_threshold=0.5, softness=0)), mask)
    barely = build_mask(mask, Controls(mask_threshold=0.5, softness=0.5))
    torch.testing.assert_close(barely, blurred(mask, 0.5))


def test_larger_areas_contain_smaller_ones_and_the_most_important_pixels(heat):
    small, large = (mask_from_attribution(heat, area, softness=0) for area in (0.1, 0.3))
    assert (large >= small).all()
    assert heat[small == 1].min() >= heat[small == 0].max()


def test_of_equal_pixels_the_first_are_taken_and_each_picture_has_its_own():
    rows = torch.zeros(2, 1, 8, 8)
    rows[1, 0, 7] = 1
    masks = mask_from_attribution(rows, 0.25, softness=0)
    assert [mask[0].any(1).nonzero().flatten().tolist() for mask in masks] == [[0, 1], [0, 7]]
    assert masks.sum() == 32


def test_an_edge_is_soft_by_three_pixels_in_any_size(heat):
    soft = mask_from_attribution(heat, 0.3)
    torch.testing.assert_close(soft, blurred(mask_from_attribution(heat, 0.3, softness=0), 3.0))
    torch.testing.assert_close(mask_from_attribution(heat, 0.3, size=512), resize(soft, 512))
    barely = mask_from_attribution(heat, 0.3, softness=0.5)
    torch.testing.assert_close(barely, blurred(mask_from_attribution(heat, 0.3, softness=0), 0.5))


def test_masked_face_keeps_what_is_outside_and_nothing_inside(synthetic_faces):
    face, mask = synthetic_faces[:1], torch.zeros(1, 1, 512, 512)
    mask[..., 64:128, 64:128] = 1
    masked = masked_face(face, mask)
    assert (masked[..., 64:128, 64:128] == 0).all()
    assert torch.equal(masked[..., 128:, :], face[..., 128:, :])


@pytest.mark.parametrize("area", [0.0, 0.1, 0.3, 1.0])
def test_a_mask_has_its_area_and_inclusion_makes_it_larger(heat, points, regions, area):
    plain = build_mask(heat, Controls(mask_area=area, softness=0))
    assert abs(plain.mean().item() - area) <= 1 / 256**2
    soft = build_mask(heat, Controls(mask_area=area))
    assert abs(soft.mean().item() - area) < 0.01
    if area in (0, 1):
        assert soft.eq(area).all() and mask_from_attribution(heat, area).eq(area).all()
    wider = build_mask(heat, Controls(mask_area=area, include=("mouth",), softness=0), points)
    assert torch.equal(wider, plain.maximum(regions["mouth"]))


def test_a_threshold_goes_before_the_area_and_what_is_excluded_is_out_whatever_is_in(
    heat, points, regions
):
    def built(**controls) -> torch.Tensor:
        return build_mask(heat, Controls(softness=0, **controls), points)

    mask = built(mask_area=0.9, mask_threshold=0.7)
    assert torch.equal(mask, (heat > 0.7).float()) and 0 < mask.mean() < 0.5
    mask = built(include=("eyes", "mouth"), exclude=("eyes",))
    assert (mask * regions["eyes"]).sum() == 0 and (mask >= regions["mouth"]).all()
    cheeks = regions["cheeks"]
    assert not torch.equal(cheeks, cheeks.flip(-1))  # or the order would not show
    assert torch.equal(built(mask_area=1, symmetric=True, exclude=("cheeks",)), 1 - cheeks)
    mask = built(mask_area=0.1, include=("nose",), symmetric=True)
    assert torch.equal(mask, mask.flip(-1)) and (mask >= regions["nose"]).all()


def test_a_mask_comes_in_the_size_that_is_asked_for(heat):
    small, large = (build_mask(heat, Controls(), size=size) for size in (256, 1024))
    assert large.shape == (1, 1, 1024, 1024)
    assert (resize(large, 256) - small).abs().max() < 0.05
    torch.testing.assert_close(small, build_mask(heat, Controls()))


def test_regions_have_the_size_of_the_attribution(heat, points):
    quarter, mouth = resize(heat, 64), region_masks(points, 64)["mouth"]
    plain = build_mask(quarter, Controls(softness=0))
    wider = build_mask(quarter, Controls(softness=0, include=("mouth",)), points)
    assert torch.equal(wider, plain.maximum(mouth))


def test_regions_are_parts_of_the_face_that_do_not_overlap(regions):
    assert tuple(regions) == REGIONS
    assert sum(regions.values()).max() == 1
    for mask in regions.values():
        assert mask.shape == (1, 1, 256, 256)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert mask.sum() > 500
    assert 0.2 < sum(regions.values()).mean() < 0.5


@pytest.mark.parametrize(
    ("name", "which"), [("brows", range(17, 27)), ("eyes", range(36, 48)), ("mouth", range(48, 68))]
)
def test_regions_contain_the_points_that_another_model_finds(regions, dlibs_points, name, which):
    x, y = dlibs_points[list(which)].T
    assert (regions[name][0, 0, y, x] == 1).all()


def test_the_share_of_the_face_is_not_the_share_of_the_picture(points, regions):
    face = whole_face(points)
    assert torch.equal(face, sum(regions.values()))
    assert share_of_face(face, face) == 1 and share_of_face(1 - face, face) == 0
    eyes = regions["eyes"]
    assert share_of_face(eyes, face) == pytest.approx((eyes.sum() / face.sum()).item())
    assert share_of_face(eyes, face) > 2 * eyes.mean()  # the face is less than half of the picture


def test_an_eye_just_beyond_the_picture_is_none(points):
    beyond = points.clone()
    beyond[:, 36:48, 1] -= beyond[:, 36:48, 1].max() + 1 / 256
    assert not between_lids(beyond, 256).any() and between_lids(points, 256).any()


def test_heat_of_regions_is_one_where_heat_is_even_and_says_what_is_warm(points, regions):
    even = heat_of_regions(torch.full((1, 1, 256, 256), 0.3), points)
    assert list(even) == list(REGIONS)
    assert list(even.values()) == pytest.approx([1] * len(REGIONS), abs=1e-4)
    nose = heat_of_regions(0.5 + regions["nose"], points)
    share = share_of_face(regions["nose"], whole_face(points))
    assert nose["nose"] == pytest.approx(1.5 / (0.5 + share), rel=1e-4)
    assert nose["mouth"] == pytest.approx(0.5 / (0.5 + share), rel=1e-4)


def test_an_unknown_region_is_refused_with_those_that_exist(points):
    with pytest.raises(UnknownOption) as refused:
        mask_of_regions(points, ("eyes", "third eye"))
    assert all(name in str(refused.value) for name in ("region third eye does", *REGIONS))


def test_regions_are_drawn_by_name_in_the_size_that_is_asked_for(points):
    names = ("eyes", "nose")
    for size, drawn in ((256, mask_of_regions(points, names)), (64, mask_of_regions(points, names, 64))):
        regions = region_masks(points, size)
        assert torch.equal(drawn, regions["eyes"].maximum(regions["nose"]))
    assert not mask_of_regions(points, ()).any()


@given(st.integers(0, 10**6), st.sampled_from([0.0, 1e-6, 1.0, 4.0]), st.floats(-4, 4))
def test_senseless_points_give_masks_all_the_same(seed, spread, place):
    points = place + spread * torch.rand(1, 68, 2, generator=seeded(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = region_masks(points, 64)
    assert tuple(masks) == REGIONS
    assert set(torch.stack([*masks.values()]).unique().tolist()) <= {0.0, 1.0}
    assert all(mask.shape == (1, 1, 64, 64) for mask in masks.values())
    assert sum(masks.values()).max() <= 1
