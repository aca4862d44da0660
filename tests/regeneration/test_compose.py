"""How photo and new face are joined: lost parts, sharpness, light and tone."""

import math

import pytest
import torch

from anonlab.controls import Controls
from anonlab.images import blurred, pasted, resize
from anonlab.perception.networks import landmark_error, load_landmarks
from anonlab.perception.regions import between_lids, face_band, region_masks
from anonlab.recognizers import distance
from anonlab.regeneration.compose import (
    Blend,
    apply_blend,
    beside_the_face,
    colour_shift,
    compose,
    detail_blur,
    exposure,
    harmonise,
    join,
    mean_blend,
    measure_blend,
    motion_blur,
    with_blur,
    with_exposure,
    with_motion,
)
from anonlab.regeneration.thin_plate import displaced, displacement

ALL = torch.ones(1, 1, 512, 512)


@pytest.fixture(scope="module")
def points(synthetic_faces) -> torch.Tensor:
    """Of the first face."""
    return load_landmarks()(synthetic_faces[:1])


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """The points of a face with upright sides and a large mouth; all others lie in its middle."""
    points = torch.full((1, 68, 2), 0.5)
    points[0, :17] = torch.tensor([[0.2, 0.2]] * 8 + [[0.5, 0.95]] + [[0.8, 0.2]] * 8)
    points[0, [7, 9], 1] = 0.9
    angles = torch.arange(12) * math.pi / 6
    points[0, 48:60] = 0.5 + torch.stack([0.15 * angles.cos(), 0.2 + 0.1 * angles.sin()], 1)
    return points


def noise(size: int, seed: int, most: float = 1.0) -> torch.Tensor:
    """A picture of which each pixel has a colour of its own, of at most `most`."""
    rng = torch.Generator().manual_seed(seed)
    return most * (2 * torch.rand(1, 3, size, size, generator=rng) - 1)


def neutral(size: int, **changed: torch.Tensor) -> Blend:
    """A blend that changes nothing but what is named."""
    kept = {"moved": torch.zeros(1, 2, 64, 64), "gain": torch.ones(3, 1, 1)}
    kept |= {"smear": torch.zeros(2, 2), "blur": torch.zeros(())}
    kept |= {"shift": torch.zeros(1, 3, 256, 256), "stays": torch.zeros(1, 1, size, size)}
    return Blend(**kept | changed)


def match_sharpness(generated, image, mask):
    """As a blend does: along one direction, then in all."""
    generated = with_motion(generated, motion_blur(generated, image, mask))
    return with_blur(generated, detail_blur(generated, image, mask))


def test_the_band_holds_the_face_and_what_is_above_it(points):
    band = face_band(points)
    x, y = (256 * points[0, 30]).round().int().tolist()  # the tip of the nose
    chin = round(256 * points[0, 8, 1].item())
    assert band[0, 0, y, x] == band[0, 0, 2, x] == 1
    assert band[0, 0, chin + 6 :].sum() == 0
    assert band[0, 0, y, 2] == band[0, 0, y, -3] == 0
    wider = face_band(points, wider=0.05)
    assert wider.sum() > band.sum() and (wider >= band).float().mean() > 0.999


def test_the_rim_beside_the_face_stays(points):
    rim = beside_the_face(points, 256)
    outside = face_band(points, wider=0.03) * (1 - face_band(points, wider=0.01))
    assert rim[outside > 0].mean() > 0.5
    x, y = (256 * points[0, 30]).round().int().tolist()  # the tip of the nose
    assert rim[0, 0, y, x] == 0 and rim[0, 0, -4:].max() == 0  # nor what is far from it


def test_the_blend_of_a_face_with_itself_changes_nothing(synthetic_faces, points):
    face = synthetic_faces[:1]
    blend, ready = measure_blend(face, face, ALL, points, points)
    assert blend.gain.eq(1).all() and blend.smear.eq(0).all()
    assert blend.blur < 0.4  # pixels of 512: what the warp's sampling costs
    assert (apply_blend(blend, face, face, ALL) - face).abs().mean() < 1e-3
    assert torch.equal(join(blend, ready, face, ALL), apply_blend(blend, face, face, ALL))
    again = mean_blend([blend, blend], [1.0, 3.0])
    torch.testing.assert_close(vars(again), vars(blend))


NINE = (0, slice(None), slice(64, None, 64), slice(64, None, 64))  # places of a picture of 256
SHIFT = [
    [[-0.166, 0.029, -0.104], [0.010, 0.026, -0.056], [-0.161, -0.018, -0.153]],
    [[-0.061, 0.021, -0.022], [0.029, 0.028, 0.033], [-0.059, 0.023, -0.043]],
    [[0.024, 0.037, 0.045], [0.034, 0.018, 0.056], [0.022, 0.074, 0.086]],
]
STAYS = [[[0, 0, 0.224], [0, 0, 0.595], [0.046, 0, 0]]]
SHOWN = [
    [[-0.689, -0.137, -0.778], [-0.148, -0.073, -0.593], [-0.687, -0.174, -0.659]],
    [[-0.692, -0.192, -0.806], [-0.181, -0.025, -0.646], [-0.738, -0.218, -0.725]],
    [[-0.633, -0.146, -0.766], [-0.138, 0.058, -0.629], [-0.709, -0.109, -0.637]],
]


def test_a_blend_has_the_numbers_that_it_had(synthetic_faces):
    """Of another face into a photo that is smeared, soft, dark and of another tone, in a part of it."""
    landmarks = load_landmarks()
    photo, made = resize(synthetic_faces[:2], 256).split(1)
    points, own = landmarks(photo), landmarks(made)
    line = torch.tensor([0.8, 0.6])
    photo = with_blur(with_motion(photo, 36 * torch.outer(line, line)), 2.0)
    photo = with_exposure(photo, torch.tensor([0.5, 0.6, 0.7])[:, None, None])
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 70:220, 60:200] = 1
    mask = blurred(mask, 4.0)
    blend, ready = measure_blend(made, photo, mask, own, points)

    def near(found: torch.Tensor, expected: list, within: float) -> None:
        torch.testing.assert_close(found, torch.tensor(expected).to(found), atol=within, rtol=0)

    near(blend.gain.flatten(), [0.474, 0.615, 0.727], 0.005)
    near(blend.smear, [[18.98, 9.63], [9.63, 4.88]], 0.6)
    near(blend.blur, 3.64, 0.1)
    near(blend.moved.abs().mean((0, 2, 3)), [0.0179, 0.0116], 0.0005)
    near(blend.shift[NINE], SHIFT, 0.005)
    near(blend.stays[NINE], STAYS, 0.01)
    shown = join(blend, ready, photo, mask)
    near(shown[NINE], SHOWN, 0.01)
    torch.testing.assert_close(apply_blend(blend, made, photo, mask), shown, atol=1e-5, rtol=0)
    assert torch.equal(shown[..., mask[0, 0] == 0], photo[..., mask[0, 0] == 0])
    assert apply_blend(blend, made, photo, 0 * mask) is photo


def test_a_frame_gets_the_weighted_mean_of_its_neighbours():
    one, other = (
        Blend(*(torch.full((2, 2), float(part)) for part in range(at, at + 6))) for at in (0, 8)
    )
    for at, part in enumerate(vars(mean_blend([one, other], [1.0, 3.0])).values()):
        assert part.eq(at + 6).all()


def test_shape_and_eyes_become_those_of_the_photo(synthetic_faces, points):
    """And no eye is kept where the new ones are asked for."""
    photo, made, landmarks = synthetic_faces[:1], synthetic_faces[1:2], load_landmarks()
    own = landmarks(made)
    for include in ((), ("eyes",)):
        blend, ready = measure_blend(made, photo, ALL, own, points, Controls(include=include))
        result = apply_blend(blend, made, photo, ALL)
        assert torch.equal(result, join(blend, ready, photo, ALL))
        eyes = between_lids(points, 512) == 1
        same = (result - photo).abs().amax(1, keepdim=True)[eyes].max()
        assert (same < 1e-6) == (not include)
        assert landmark_error(landmarks(result), points) < 0.5 * landmark_error(own, points)


def test_the_new_face_is_as_dark_as_the_photo(synthetic_faces, points):
    photo = made = synthetic_faces[:1]
    dark = with_exposure(photo, torch.tensor(0.2))
    gain = exposure(made, dark, points)
    torch.testing.assert_close(gain, torch.full((3, 1, 1), 0.2), atol=0.004, rtol=0)
    torch.testing.assert_close(with_exposure(made, gain), dark, atol=0.01, rtol=0)
    assert exposure(dark, photo, points).eq(1).all()


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_a_sharp_face_becomes_as_soft_as_the_photo(synthetic_faces, sigma):
    sharp = synthetic_faces[:1]
    soft = blurred(sharp, sigma)
    assert (match_sharpness(sharp, soft, ALL) - soft).abs().mean() < 0.003
    assert torch.equal(match_sharpness(soft, sharp, ALL), soft)  # detail cannot be invented


@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_a_smeared_photo_gets_a_face_smeared_along_the_same_line(synthetic_faces, angle):
    sharp, another = resize(synthetic_faces[:2], 256).split(1)
    line = torch.tensor([math.cos(angle), math.sin(angle)])
    smeared = with_motion(sharp, 64 * torch.outer(line, line))  # pixels of 512
    found = motion_blur(sharp, smeared, ALL)
    assert found.trace().sqrt() == pytest.approx(8, rel=0.3)
    assert line @ found @ line > math.cos(0.15) ** 2 * found.trace()
    round_blur = with_blur(sharp, detail_blur(sharp, smeared, ALL))
    matched = match_sharpness(sharp, smeared, ALL)
    assert (matched - smeared).abs().mean() < 0.5 * (round_blur - smeared).abs().mean()
    assert motion_blur(sharp, blurred(sharp, 3.0), ALL).abs().max() == 0  # out of focus is no smear
    assert motion_blur(another, sharp, ALL).abs().max() == 0  # nor is another face


def test_only_what_is_masked_says_how_sharp(synthetic_faces):
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 128:384, 128:384] = 1
    photo = torch.lerp(blurred(synthetic_faces[:1], 4.0), synthetic_faces[:1], mask)
    matched = match_sharpness(synthetic_faces[:1], photo, mask)
    assert (matched - synthetic_faces[:1]).abs().mean() < 0.01


def test_harmonising_removes_a_colour_cast(face):
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:180, 90:166] = 1
    cast = face + torch.tensor([0.2, -0.1, 0.05])[None, :, None, None]
    assert (harmonise(cast, face, mask) - face).abs().mean() < 0.01
    joined = compose(cast, face, mask)
    assert torch.equal(joined[mask.expand(-1, 3, -1, -1) == 0], face[mask.expand(-1, 3, -1, -1) == 0])
    assert (joined - face).abs().max() < 0.05


def test_harmonising_carries_no_detail_of_the_original_inside(face, recognizer):
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


def test_noise_of_the_photo_is_no_detail(synthetic_faces):
    face = synthetic_faces[:1]
    rng = torch.Generator().manual_seed(0)
    soft = blurred(face, 2.0)
    noisy = soft + 0.08 * torch.randn(1, 3, 512, 512, generator=rng)
    assert detail_blur(face, noisy, ALL) > 0.5 * detail_blur(face, soft, ALL)


def test_a_point_comes_to_lie_where_it_shall_and_the_edge_stays():
    """Pictures of their own coordinates: what lies at a place is where it came from."""
    middles = (torch.arange(256) + 0.5) / 256
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    own = 2 * torch.stack([x, y])[None] - 1
    points = 0.25 + 0.5 * torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(1))
    to = points + 0.02 * torch.randn(points.shape, generator=torch.Generator().manual_seed(2))
    came = (displaced(own, displacement(points, to)) + 1) / 2
    columns, rows = (256 * to[0]).long().unbind(1)
    off = came[0, :, rows, columns].T - points[0]
    assert off.norm(dim=1).mean() < 0.006  # a pixel and a half
    assert (came - (own + 1) / 2)[..., [0, -1], :].abs().max() < 0.003
    assert displacement(torch.full((1, 68, 2), torch.nan), torch.rand(1, 68, 2)).abs().max() == 0


def test_without_a_mask_nothing_is_compared(synthetic_faces):
    """And a sharp face at twice the size gets twice the blur."""
    nothing = torch.zeros(1, 1, 512, 512)
    face = synthetic_faces[:1]
    assert torch.equal(match_sharpness(face, blurred(face, 3.0), nothing), face)
    large = resize(face, 1024)
    mask = torch.ones(1, 1, 1024, 1024)
    soft = blurred(large, 5.0)
    assert (match_sharpness(large, soft, mask) - soft).abs().mean() < 0.003


@pytest.mark.parametrize(("smear", "blur"), [([64, 0], 0), ([0, 64], 0), ([900, 0], 40)])
@pytest.mark.parametrize(
    "places", [[(slice(5, 30), slice(85, 110))], [(60, 20)], [(20, 30), (slice(60, 70), slice(90, 95))]]
)
def test_a_frame_is_joined_in_a_window_as_it_is_in_the_whole_picture(smear, blur, places):
    """Wherever the mask is, if it is one pixel or two islands, and however far the blurs reach."""
    photo, made = noise(128, 1), noise(128, 2)
    mask = torch.zeros(1, 1, 128, 128)
    for rows, columns in places:
        mask[..., rows, columns] = 1
    blend = neutral(128, smear=torch.diag(torch.tensor(smear).float()), blur=torch.tensor(blur))
    ready = with_motion(displaced(made, blend.moved), blend.smear)
    whole = join(blend, with_blur(ready, blend.blur), photo, mask)
    torch.testing.assert_close(apply_blend(blend, made, photo, mask), whole, atol=1e-5, rtol=0)


def test_a_photo_that_stays_everywhere_is_returned_as_it_is():
    photo = noise(64, 1)
    stays = neutral(64, stays=torch.ones(1, 1, 64, 64))
    assert apply_blend(stays, noise(64, 2), photo, torch.ones(1, 1, 64, 64)) is photo


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_joined_colour_is_out_of_range(sign):
    """Grains of all brightnesses under a photo that is nearly white, or nearly black."""
    photo, made = torch.full((1, 3, 64, 64), 0.9 * sign), noise(64, 1, 0.3) + 0.6 * sign
    mask = torch.ones(1, 1, 64, 64)
    mask[..., :16] = 0
    shift = torch.full((1, 3, 256, 256), 0.3 * sign)
    assert harmonise(made, photo, mask).abs().max() > 1.05
    for shown in (compose(made, photo, mask), join(neutral(64, shift=shift), made, photo, mask)):
        assert shown.abs().max() == 1
        assert torch.equal(shown[..., :16], photo[..., :16])


def test_brightness_is_compared_between_the_highest_brow_and_the_lowest_corner_of_the_mouth(drawn):
    """Of a photo that is brighter from each row to the next, and of a tilted face: its outer ends."""
    points = drawn.clone()
    points[0, 17:27, 1], points[0, 48:60, 1] = 100 / 256, 150 / 256
    points[0, 17, 1], points[0, 48, 1] = 80.25 / 256, 170.25 / 256
    photo = torch.arange(256).view(1, 1, 256, 1).expand(1, 3, 256, 256) / 256 * 0.4 - 1
    gain = exposure(torch.full_like(photo, -0.5), photo, points)
    torch.testing.assert_close(gain, torch.full((3, 1, 1), 0.8 * 124 / 256))  # rows 80 to 169
    black = exposure(torch.zeros_like(photo), -torch.ones_like(photo), points)
    torch.testing.assert_close(black, torch.full((3, 1, 1), 0.05))  # not darker than that
    nowhere = exposure(photo, photo - 1, torch.zeros(1, 68, 2))
    assert torch.equal(nowhere, torch.ones(3, 1, 1))  # where no face is, nothing is darkened


@pytest.mark.parametrize("sigma", [0.6, 2.0])
def test_a_smear_spreads_a_point_by_its_deviation_along_its_line_alone(sigma):
    """In a part of a picture, too: wider than high, and of a plain grey up to its edges."""
    dot = torch.zeros(1, 3, 21, 41)
    dot[..., 10, 20] = 1
    smear = torch.diag(torch.tensor([(8 * sigma) ** 2, 0.0]))  # pixels of 512, of a picture of 64
    line = with_motion(dot, smear, 64)[0]
    assert line[:, [*range(10), *range(11, 21)]].abs().max() < 1e-6
    torch.testing.assert_close(line.sum((1, 2)), torch.ones(3))
    spread = (line[:, 10] * (torch.arange(41) - 20).square()).sum(1).sqrt()
    torch.testing.assert_close(spread, torch.full((3,), sigma), rtol=0.02, atol=0)
    wide = torch.cat([dot, dot[..., :23]], 3)
    for blur, amount in ((with_motion, smear), (with_blur, torch.tensor(8 * sigma))):
        torch.testing.assert_close(blur(wide, amount), blur(wide, amount, 64))
        grey = torch.full((1, 3, 21, 41), 0.7)
        torch.testing.assert_close(blur(grey, amount, 64), grey)


def test_only_where_the_mask_is_does_a_blur_count_wherever_that_is():
    """Far from the diagonal."""
    sharp = noise(512, 1, 0.5)
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 20:80, 380:480] = 1
    photo = torch.lerp(sharp, blurred(sharp, 2.0), blurred(mask, 4.0).gt(0.01).float())
    assert detail_blur(sharp, photo, mask) == pytest.approx(2.0, abs=0.1)


def test_grain_counts_by_what_the_photo_has_more_of_it_than_the_new_face():
    mask = torch.ones(1, 1, 256, 256)
    soft = 4 * blurred(noise(256, 1), 4.0)
    assert detail_blur(soft + noise(256, 2, 0.15), soft + noise(256, 3, 0.2), mask) < 1
    sharp = 4 * blurred(noise(256, 4), 1.5)
    photo = blurred(sharp, 2.0) + noise(256, 5, 0.2)
    assert detail_blur(sharp, photo, mask) == pytest.approx(4, rel=0.2)  # pixels of 512


def test_a_difference_counts_the_less_the_larger_it_is():
    """On the line between two, of which each has the weight that a Gaussian gives it."""
    photo = torch.full((1, 3, 256, 256), 0.1)
    photo[..., 128:] = 0.4
    shift = colour_shift(torch.zeros_like(photo), photo, torch.zeros(1, 1, 256, 256))
    weights = [math.exp(-((difference / 0.3) ** 2)) for difference in (0.1, 0.4)]
    expected = (0.1 * weights[0] + 0.4 * weights[1]) / sum(weights)
    assert shift[..., 127:129].mean().item() == pytest.approx(expected, abs=0.002)
    assert shift[..., 0].mean() == pytest.approx(0.1) and shift[..., -1].mean() == pytest.approx(0.4)


def test_what_is_not_seen_gives_no_colour():
    photo = torch.full((1, 3, 256, 256), 0.1)
    photo[..., 128:] = 0.25
    seen = torch.ones(1, 1, 256, 256)
    seen[..., 128:] = 0
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:156, 100:128] = 1
    made = harmonise(torch.zeros_like(photo), photo, mask, seen)
    torch.testing.assert_close(made[..., :130], torch.full((1, 3, 256, 130), 0.1))


@pytest.mark.parametrize("size", [256, 128])
def test_a_mouth_gets_the_tint_that_it_lacks_and_nothing_else_does(drawn, size):
    """Red lips with teeth between them, on a face of one grey: of each difference that remains the part
    without its brightness, the larger the less, under a Gaussian, and for places as bright as lips."""
    mouth = region_masks(drawn, size)["mouth"]
    photo = mouth * torch.tensor([0.35, -0.05, -0.1])[None, :, None, None]
    teeth = slice(round(0.68 * size), round(0.72 * size))
    photo[..., teeth, :] = mouth[..., teeth, :] * torch.tensor([0.3, 0.9, 0.6])[None, :, None, None]
    made, mask = torch.zeros_like(photo), blurred(mouth, 2.0)
    without = colour_shift(made, photo, mask)
    added = colour_shift(made, photo, mask, None, drawn) - without
    lacks = photo - made - without
    lighter, near = lacks.mean(1, keepdim=True), 3 * size / 256
    tint, alike = lacks - lighter, (-((lighter / 0.3) ** 2)).exp()
    weight = (-tint.square().mean(1, keepdim=True) / 0.6**2).exp() * alike
    expected = blurred(mouth, near) * blurred(tint * weight, near) / (blurred(weight, near) + 0.05)
    torch.testing.assert_close(added, expected * alike, atol=1e-5, rtol=0)
    middle = added[0, 0, round(0.7 * size), size // 2], added[0, 0, round(0.745 * size), size // 2]
    assert middle[0].abs() < 0.3 * middle[1].abs()  # white teeth stay white between red lips
    assert added.mean(1).abs().max() < 1e-6 < 0.05 < added.abs().max()
    two = torch.cat([photo, photo.flip(1)])
    both = colour_shift(torch.zeros_like(two), two, mask, None, drawn)
    torch.testing.assert_close(both[:1], without + added)
    torch.testing.assert_close(both[1:], (without + added).flip(1))


def test_what_is_in_front_and_beards_stay_and_give_no_colour(drawn, monkeypatch):
    """And a beard is looked for where the new face already has the photo's colours."""
    hand, hair = torch.zeros(2, 1, 1, 128, 128)
    hand[..., 30:55, 30:55] = 1
    hair[..., 75:100, 45:80] = 1
    hair = blurred(hair, 2.0)
    compared = []

    def beard(_, made: torch.Tensor, __) -> torch.Tensor:
        compared.append(made)
        return hair

    monkeypatch.setattr("anonlab.regeneration.compose.in_front", lambda *_: hand)
    monkeypatch.setattr("anonlab.regeneration.compose.glasses", lambda _: 0 * hand)
    monkeypatch.setattr("anonlab.regeneration.compose.beard", beard)
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 20:110, 20:108] = 0.9
    made = noise(128, 1, 0.2)
    photo = made + 0.1 + (hand - hair) * torch.tensor([0.2, -0.1, 0.15])[None, :, None, None]
    shaved, ready = measure_blend(made, photo, mask, drawn, drawn, Controls(include=("mouth",)))
    shown = mask * (1 - shaved.stays)
    assert shaved.stays[hand == 1].eq(1).all() and not compared
    expected = colour_shift(ready, photo, shown, 1 - hand, drawn)
    torch.testing.assert_close(shaved.shift, expected)
    blend = measure_blend(made, photo, mask, drawn, drawn)[0]
    torch.testing.assert_close(compared, [ready + shaved.shift])
    assert torch.equal(blend.stays, shaved.stays.maximum(hair))
    expected = colour_shift(ready, photo, shown * (1 - hair), 1 - hand.maximum(hair), drawn)
    torch.testing.assert_close(blend.shift, expected)
