"""Geometry: alignment, and putting a face back where it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from faked import noise
from PIL import Image

from anonlab.errors import NoFaceFound
from anonlab.images import pasted, to_tensor, to_uint8
from anonlab.photo import faces
from anonlab.photo.faces import Face, align, face_oval, paste, visible_share
from anonlab.photo.photos import Photo


def scene(portrait: Image.Image, side: int, degrees: float = 0) -> tuple[Photo, Face]:
    """A photo in which the aligned portrait, turned, covers a square of `side` pixels."""
    canvas = Image.new("RGB", (side + side // 2, side + side // 2), (90, 120, 80))
    patch = portrait.resize((side, side), Image.Resampling.LANCZOS)
    canvas.paste(patch, (side // 4, side // 4))
    canvas = canvas.rotate(degrees, Image.Resampling.BICUBIC)
    # five points that lie where FFHQ's alignment puts them, turned like the picture
    unit = np.array([[-0.1225, -0.0264], [0.1225, -0.0264], [0, 0.11], [-0.1, 0.2373], [0.1, 0.2373]])
    turn = np.radians(-degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = canvas.width / 2 + unit * side @ rotation.T
    photo = Photo(np.asarray(canvas).copy(), "scene.png")
    return photo, Face((0, 0, 1, 1), points, 1.0)


# a face whose aligned square has 200 pixels a side, from column 20 and row 10 on
POINTS = np.array([[95, 105], [145, 105], [120, 130], [100, 155], [140, 155]], float)
FACE = Face((60.0, 60.0, 180.0, 180.0), POINTS, 0.9)
PHOTO = Photo(noise(0, 230, 240), "noise.png")
SQUARE = (slice(10, 210), slice(20, 220))
SMOOTH = np.asarray(Image.fromarray(noise(1, 6, 6)).resize((240, 230), Image.Resampling.BICUBIC))


def test_the_aligned_square_is_that_of_ffhqs_formula():
    np.testing.assert_allclose(FACE.to_photo(100), [[2, 0, 20], [0, 2, 10]], atol=1e-12)
    np.testing.assert_allclose(FACE.to_photo(), FACE.to_photo(1024))
    assert (FACE.side, FACE.own_size, FACE.area) == (pytest.approx(200), 256, 14400)
    assert (FACE.roll, FACE.turn) == (pytest.approx(0), pytest.approx(0))
    long = replace(FACE, points=POINTS + np.outer([0, 0, 0, 1, 1], [0, 50]))  # as far again to the mouth
    np.testing.assert_allclose(long.to_photo(1), [[360, 0, -60], [0, 360, -65]], atol=1e-9)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(
        replace(FACE, points=POINTS @ turn.T).to_photo(100), turn @ FACE.to_photo(100), atol=1e-9
    )


def test_the_oval_is_one_within_zero_outside_and_smooth_between():
    oval = face_oval(1000)
    assert np.allclose(oval, oval[:, ::-1]) and oval[549, 499] == 1
    across, down = oval[549], oval[:, 499]
    for line, middle, radius in ((across, 500, 340), (down, 550, 420)):
        for share, value in ((0.74, 1), (0.8125, 0.84375), (0.875, 0.5), (0.9375, 0.15625), (1.01, 0)):
            assert line[round(middle + share * radius)] == pytest.approx(value, abs=0.02)
            assert line[round(middle - share * radius)] == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize(
    ("move", "size", "seen"),
    [
        ((0, 0), (240, 230), (slice(None), slice(None))),
        ((-120, 0), (240, 230), (slice(None), slice(32, None))),  # the left half is outside
        ((0, 0), (120, 230), (slice(None), slice(None, 32))),
        ((0, -10 - 25), (240, 230), (slice(8, None), slice(None))),
        ((0, 0), (240, 10 + 150), (slice(None, 48), slice(None))),
    ],
)
def test_what_is_seen_of_a_face_is_what_of_its_oval_lies_in_the_frame(move, size, seen):
    photo = Photo(np.zeros((size[1], size[0], 3), np.uint8), "cut.png")
    expected = face_oval(64)[seen].sum() / face_oval(64).sum()
    face = replace(FACE, points=POINTS + move)
    assert visible_share(photo, face) == pytest.approx(expected, abs=1e-12)
    if expected < 0.6:
        with pytest.raises(NoFaceFound, match=r"cut\.png shows a face that is cut off"):
            align(photo, face, 64)
    else:
        assert (align(photo, face, 64) + 1).abs().max() < 1e-5


def test_a_face_that_may_be_cut_off_goes_on_grey():
    for left, allowed in ((60, True), (90, False)):  # columns of the square beyond the frame, of 200
        cut = Photo(PHOTO.pixels[:, 20 + left :].copy(), "cut.png")
        face = replace(FACE, points=POINTS - (20 + left, 0))
        inside = to_tensor(PHOTO.pixels[10:210, 20 + left : 220])
        seen = align(cut, face, 200, cut=True)
        assert not seen[..., : left - 2].any()
        torch.testing.assert_close(seen[..., left + 2 :], inside[..., 2:], atol=1e-4, rtol=0)
        if not allowed:
            with pytest.raises(NoFaceFound):
                align(cut, face, 200)
    gone = replace(FACE, points=POINTS - (150, 0))
    with pytest.raises(NoFaceFound):
        align(PHOTO, gone, 200, cut=True)


def test_at_the_photos_own_scale_alignment_is_a_cut_and_pasting_the_way_back():
    cut = to_tensor(PHOTO.pixels[SQUARE])
    aligned = align(PHOTO, FACE, 200)
    torch.testing.assert_close(aligned, cut, atol=1e-4, rtol=0)
    mask, other = torch.zeros(1, 1, 200, 200), Photo(noise(2, 230, 240), "other.png")
    mask[..., 30:170, 40:160], mask[..., 100:, 40:160] = 1.0, 0.5
    mask[..., :20, :] = 1 / 513  # too little
    expected = other.pixels.copy()
    mixed = to_uint8(pasted(to_tensor(other.pixels[SQUARE]), aligned, mask))
    expected[SQUARE][20:] = mixed[20:]
    for strip in (7, 4096):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(faces, "STRIP", strip)
            again = paste(other, FACE, aligned, mask)
        assert np.abs(again.astype(int) - expected).max() <= 1
        outside = (again != other.pixels).any(2)
        assert not outside[: 10 + 28].any() and not outside[:, : 20 + 38].any()
        assert not outside[:, 20 + 162 :].any() and outside[209].any() and not outside[210:].any()


@pytest.mark.parametrize("size", [100, 400])
def test_at_another_scale_the_same_is_seen(size):
    """As Pillow resizes the square; and what is pasted is seen where it was."""
    photo = Photo(SMOOTH, "smooth.png")
    box = Image.fromarray(SMOOTH).crop((20, 10, 220, 210))
    resized = to_tensor(np.asarray(box.resize((size, size), Image.Resampling.BICUBIC)))
    aligned = align(photo, FACE, size)
    assert (aligned - resized)[..., 3:-3, 3:-3].abs().max() < 0.03
    black = Photo(np.zeros_like(SMOOTH), "black.png")
    again = paste(black, FACE, aligned, torch.ones(1, 1, size, size))
    assert np.abs(again[SQUARE].astype(int) - SMOOTH[SQUARE])[3:-3, 3:-3].max() <= 4
    again[SQUARE] = 0
    assert not again.any()


def test_what_lies_beyond_the_frame_is_not_pasted():
    """Of a face at the upper left corner, and of one at the lower right."""
    for move, seen in (((-60, -40), np.s_[:170, :160]), ((60, 50), np.s_[60:, 80:])):
        face, aligned = replace(FACE, points=POINTS + move), torch.ones(1, 3, 200, 200)
        expected = PHOTO.pixels.copy()
        expected[seen] = 255
        assert np.array_equal(paste(PHOTO, face, aligned, aligned[:, :1]), expected)


@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("degrees", [0, 17])
def test_round_trip_leaves_the_photo_as_it_was(portrait, side, degrees):
    photo, face = scene(portrait, side, degrees)
    aligned = align(photo, face)
    mask = torch.from_numpy(face_oval(1024)).float()[None, None]
    pasted = paste(photo, face, aligned, mask)
    # where is the face? paste white on black through the same mask
    black = Photo(np.zeros_like(photo.pixels), "black")
    touched = paste(black, face, torch.ones_like(aligned), mask).any(2)
    assert 0.1 < touched.mean() < 0.5
    assert (pasted[~touched] == photo.pixels[~touched]).all()
    error = (pasted[touched].astype(float) - photo.pixels[touched]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) >= 40


@pytest.mark.parametrize(("side", "size"), [(60, 256), (190, 256), (300, 512), (500, 512), (700, 1024)])
def test_a_face_has_the_pixels_that_it_needs(portrait, side, size):
    photo, face = scene(portrait, side, 17)
    assert face.side == pytest.approx(side, rel=0.03)
    assert face.own_size == size
    # and that many lose nothing: what comes back is as near to the photo as from 1024
    untouched = Photo(np.zeros_like(photo.pixels), "black")
    back = [
        paste(untouched, face, align(photo, face, pixels), torch.ones(1, 1, pixels, pixels))
        for pixels in (size, 1024)
    ]
    inside = (back[1] > 0).all(2)
    errors = [np.abs(one[inside].astype(int) - photo.pixels[inside]).mean() for one in back]
    assert errors[0] < errors[1] + 0.7


def test_turning_the_photo_does_not_change_the_aligned_face(portrait):
    straight = align(*scene(portrait, 512))
    turned = align(*scene(portrait, 512, 30))
    inner = (slice(None), slice(None), slice(256, 768), slice(256, 768))
    assert (straight[inner] - turned[inner]).abs().mean() < 0.02


@pytest.mark.parametrize("size", [(200, 300), (2000, 40), (40, 2000), (33, 33)])
def test_no_face_is_an_error_that_names_the_photo(detector, size):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    pixels = noise if size == (200, 300) else np.full_like(noise, 127)
    with pytest.raises(NoFaceFound, match=r"wall\.jpg"):
        detector(Photo(pixels, "wall.jpg"))


def test_beyond_the_frame_is_the_mirror_image(astronaut, astronaut_found):
    face = astronaut_found
    cut = int(face.points[0, 0] - 0.05 * (face.box[2] - face.box[0]))  # beside her right eye
    narrow = Photo(astronaut.pixels[:, cut:], "narrow.jpg")
    moved = Face(face.box, face.points - [cut, 0], 1.0)
    mirrored = np.concatenate([narrow.pixels[:, :100][:, ::-1], narrow.pixels], 1)
    wide = align(Photo(mirrored, "wide.jpg"), Face(face.box, moved.points + [100, 0], 1.0), 256)
    assert visible_share(narrow, moved) < 0.95
    assert (align(narrow, moved, 256) - wide).abs().mean() < 2e-3


STRIPES = np.zeros((230, 240, 3), np.uint8)
STRIPES[:, ::2] = 255  # finer than a smaller picture can show


def test_what_is_too_fine_for_a_smaller_picture_is_averaged():
    aligned = align(Photo(STRIPES, "stripes.png"), FACE, 133)  # two thirds of the photo's scale
    assert aligned[..., 5:-5, 5:-5].abs().max() < 0.2
    fine = torch.ones(1, 3, 600, 600)
    fine[..., ::2] = -1
    pasted_in = paste(PHOTO, FACE, fine, torch.ones(1, 1, 600, 600))[SQUARE]  # a third of its scale
    assert np.abs(pasted_in[5:-5, 5:-5].astype(int) - 127).max() < 25


@pytest.mark.parametrize("size", [50, 400])
def test_no_pixel_is_brighter_or_darker_than_what_it_is_made_of(size):
    black_and_white = Photo(np.where(noise(2, 230, 240) > 127, 255, 0).astype(np.uint8), "hard.png")
    assert align(black_and_white, FACE, 400).abs().max() == 1
    mask = (torch.arange(size) % 16 < 8).float().expand(1, 1, size, size)
    grey = Photo(np.full((230, 240, 3), 100, np.uint8), "grey.png")
    result = paste(grey, FACE, torch.full((1, 3, size, size), 200 / 127.5 - 1), mask)
    assert (result.min(), result.max()) == (100, 200)


def test_nothing_is_pasted_beyond_the_sides_of_a_turned_square():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    middle = POINTS.mean(0)
    face = replace(FACE, points=middle + (POINTS - middle) @ turn.T / 2)
    result = paste(PHOTO, face, torch.ones(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    rows, columns = np.mgrid[:230, :240] + 0.5
    inverse = np.linalg.inv(np.vstack([face.to_photo(1), [0, 0, 1]]))
    x, y, _ = np.einsum("ij,jhw->ihw", inverse, np.stack([columns, rows, np.ones_like(rows)]))
    within = (x > 0.02) & (x < 0.98) & (y > 0.02) & (y < 0.98)
    beyond = (x < -0.02) | (x > 1.02) | (y < -0.02) | (y > 1.02)
    assert (result[within] == 255).all() and (result[beyond] == PHOTO.pixels[beyond]).all()
