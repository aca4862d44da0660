"""Boxes of faces, as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonlab.photo.boxes import SAME, SURER, WITHIN, among, merged, moved, overlap, same, shared_area
from anonlab.photo.faces import Face

SIDE = st.integers(1, 60)
PLACE = st.integers(-40, 40)


@st.composite
def faces(draw) -> Face:
    left, top = draw(PLACE), draw(PLACE)
    box = (float(left), float(top), float(left + draw(SIDE)), float(top + draw(SIDE)))
    points = np.array(draw(st.lists(PLACE, min_size=10, max_size=10)), float).reshape(5, 2)
    return Face(box, points, draw(st.sampled_from([0.5, 0.9, 0.902, 0.99])))


def pixels(face: Face) -> set[tuple[int, int]]:
    left, top, right, bottom = map(int, face.box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


@given(faces(), faces())
def test_shares_are_those_of_counted_pixels(a, b):
    one, other = pixels(a), pixels(b)
    assert shared_area(a, b) == shared_area(b, a) == len(one & other)
    assert overlap(a, b) == pytest.approx(len(one & other) / len(one | other))
    alike = len(one & other) > SAME * len(one | other)
    assert same(a, b) == (alike or len(one & other) > WITHIN * min(len(one), len(other)))
    assert among(a, [b]) == same(a, b) and not among(a, [])


@given(st.lists(st.lists(faces(), max_size=3), max_size=3))
def test_each_face_is_there_once_and_none_that_stands_alone_is_lost(looks):
    kept = merged(looks)
    assert not [(a, b) for a in kept for b in kept if a is not b and same(a, b)]
    for face in (face for look in looks for face in look):
        assert among(face, kept) or [
            one for look in looks for one in look if one is not face and same(one, face)
        ]


def test_of_two_looks_at_a_face_the_earlier_stays_unless_the_later_is_surer():
    box = (0.0, 0.0, 10.0, 10.0)
    first, equal, surer = (Face(box, np.zeros((5, 2)), sure) for sure in (0.9, 0.904, 0.906))
    assert merged([[first], [equal]]) == [first] and merged([[first], [surer]]) == [surer]
    just = Face(box, np.zeros((5, 2)), 0.9 + SURER)
    assert merged([[first], [just]]) == [just]


def test_boxes_that_share_just_the_limit_are_two_faces():
    def bar(left: float, right: float) -> Face:
        return Face((left, 0.0, right, 1.0), np.zeros((5, 2)), 0.9)

    assert overlap(bar(0, 13), bar(7, 20)) == SAME and not same(bar(0, 13), bar(7, 20))
    assert shared_area(bar(0, 10), bar(4, 30)) == WITHIN * 10 and not same(bar(0, 10), bar(4, 30))


@given(faces(), st.floats(-3, 3), st.floats(0.5, 2), PLACE, PLACE)
def test_a_face_moves_as_its_points_do_and_back_again(face, angle, scale, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = moved(face, np.hstack([turn, [[x], [y]]]))
    np.testing.assert_allclose(there.points, face.points @ turn.T + [x, y], atol=1e-9)
    sides = np.array(face.box).reshape(2, 2)
    middle = np.array(there.box).reshape(2, 2).mean(0)
    np.testing.assert_allclose(middle, sides.mean(0) @ turn.T + [x, y], atol=1e-9)
    # the box of an ellipse: as wide as its support in each direction
    half = (sides[1] - sides[0]) / 2
    around = np.stack([np.cos(np.linspace(0, 2 * np.pi, 721)), np.sin(np.linspace(0, 2 * np.pi, 721))])
    edge = (turn @ (half[:, None] * around)).max(1)
    np.testing.assert_allclose(
        np.diff(np.array(there.box).reshape(2, 2), axis=0)[0] / 2, edge, rtol=1e-3
    )
    assert there.confidence == face.confidence
