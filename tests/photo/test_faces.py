"""Geometry: alignment, and putting a face back where it was."""

import numpy as np
import pytest
import torch
from PIL import Image

from anonlab.errors import NoFaceFound
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


def test_alignment_puts_the_points_where_ffhq_has_them(astronaut, astronaut_found):
    face = astronaut_found
    matrix = np.vstack([face.to_photo(512), [0, 0, 1]])
    eyes, mouth = face.points[:2].mean(0), face.points[3:].mean(0)
    back = np.linalg.inv(matrix) @ np.array([[*eyes, 1], [*mouth, 1]]).T
    # the middle of the eyes lies above the centre by a tenth of the way to the mouth
    assert abs(back[0, 0] - 256) < 12
    assert 225 < back[1, 0] < 256
    assert 355 < back[1, 1] < 400
    assert np.allclose(np.linalg.norm(face.to_photo()[:, 0]), np.linalg.norm(face.to_photo()[:, 1]))


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


def test_a_face_half_outside_the_frame_is_an_error(astronaut, astronaut_found):
    face = astronaut_found
    cut = int(face.points[2, 0] + 0.2 * (face.box[2] - face.box[0]))  # beside the nose
    half = Photo(astronaut.pixels[:, cut:], "half.jpg")
    moved = Face(face.box, face.points - [cut, 0], 1.0)
    assert visible_share(half, moved) < 0.5
    with pytest.raises(NoFaceFound, match="cut off"):
        align(half, moved)
    assert visible_share(astronaut, face) > 0.99


def test_beyond_the_frame_is_the_mirror_image(astronaut, astronaut_found):
    face = astronaut_found
    cut = int(face.points[0, 0] - 0.05 * (face.box[2] - face.box[0]))  # beside her right eye
    narrow = Photo(astronaut.pixels[:, cut:], "narrow.jpg")
    moved = Face(face.box, face.points - [cut, 0], 1.0)
    mirrored = np.concatenate([narrow.pixels[:, :100][:, ::-1], narrow.pixels], 1)
    wide = align(Photo(mirrored, "wide.jpg"), Face(face.box, moved.points + [100, 0], 1.0), 256)
    assert visible_share(narrow, moved) < 0.95
    assert (align(narrow, moved, 256) - wide).abs().mean() < 2e-3
