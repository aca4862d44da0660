"""What may be written, what is tried next, and how far a face is covered: without networks."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faked import noise
from hypothesis import given
from hypothesis import strategies as st

from anonlab import checking
from anonlab.checking import AREA_LIMIT, LAST_MARGIN, MAX_DRIFT, MAX_TURN, RETRY_MARGIN, RETRY_STEPS
from anonlab.controls import Controls
from anonlab.errors import FaceTurnedAway, NoFaceFound, StillRecognised
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo
from anonlab.results import FaceResult

POINTS = np.array([[95, 105], [145, 105], [120, 130], [100, 155], [140, 155]], float)
FACE = Face((60.0, 60.0, 180.0, 180.0), POINTS, 0.9)
PHOTO = Photo(noise(0, 240, 240), "a.png")
DOT = torch.zeros(1, 3, 1, 1)


def attempt(distance=0.8, drift=0.0, **controls) -> FaceResult:
    return FaceResult(
        box=FACE.box, attribution=DOT, mask=DOT[:, :1], share_of_face=0.0,
        aligned=DOT, generated=DOT, anonymized=DOT, ws=DOT, distance=distance, drift=drift,
        threshold=0.6, controls=Controls(**controls), attempts=2, seconds=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tried", "acceptable", "error", "words"),
    [
        (attempt(), True, None, ""),
        (attempt(drift=MAX_DRIFT), True, None, ""),
        (attempt(drift=MAX_DRIFT + 1e-9), False, FaceTurnedAway, "does not fit"),
        (attempt(distance=0.59), False, StillRecognised, "is still recognised after 2 attempts"),
        (attempt(distance=math.nan), False, StillRecognised, "is no longer found as a face after 2"),
    ],
)
def test_only_a_face_in_its_place_that_nobody_matches_may_be_written(tried, acceptable, error, words):
    assert checking.acceptable(tried) is acceptable
    if error:
        refused = checking.refused(tried, PHOTO, FACE)
        assert type(refused) is error and words in str(refused)
        assert str(refused).startswith("a.png shows a face at [60, 60, 180, 180] that ")


@pytest.mark.parametrize(
    ("tried", "attempts", "nearly"),
    [
        (attempt(distance=0.7), 1, True),
        (attempt(distance=0.7), 2, False),
        (attempt(distance=0.62), 2, True),
        (attempt(distance=LAST_MARGIN * 0.6), 2, False),
        (attempt(distance=RETRY_MARGIN * 0.6), 1, False),
        (attempt(distance=0.71), 1, False),
        (attempt(distance=0.7, refine_steps=0), 1, True),
        (attempt(distance=0.7, refine_steps=5), 1, False),
        (attempt(distance=0.5, strength=0.9), 1, False),
        (attempt(distance=0.5, target_distance=0.9), 1, False),
    ],
)
def test_a_face_that_others_may_match_is_one_that_went_all_the_way(tried, attempts, nearly):
    assert checking.nearly_matched(tried, attempts) is nearly


def test_a_face_is_turned_away_beyond_the_limit():
    checking.check_turn(PHOTO, SimpleNamespace(turn=MAX_TURN, box=FACE.box))
    with pytest.raises(FaceTurnedAway, match="turned too far away; choose a fallback"):
        checking.check_turn(PHOTO, SimpleNamespace(turn=MAX_TURN + 1e-9, box=FACE.box))


@given(st.floats(0, 1), st.floats(0, 1), st.none() | st.integers(0, 100), st.booleans())
def test_the_next_attempt_changes_more_and_nothing_else(area, strength, steps, more):
    given_ = {"strength": strength, "refine_steps": steps, "mask_threshold": 0.2, "seed": 7}
    tried = replace(
        attempt(**given_, include=("jaw",), target_distance=0.7), mask=torch.full((1, 1, 4, 4), 0.3)
    )
    asked = checking.next_controls(tried, area, optimize=more)
    wider = 0.3 if more else area  # what was new, where nothing is given back any more
    assert asked.mask_area == pytest.approx(min(max(wider * 1.4, 0.1), AREA_LIMIT), abs=6e-4)
    assert asked.mask_area == round(asked.mask_area, 3)
    assert asked.give_back == (0 if more else Controls().give_back)
    assert asked.include == ("jaw", "mouth") and not asked.own_beard and asked.own_eyes
    assert (asked.strength, asked.mask_threshold, asked.target_distance) == (1.0, None, None)
    assert (asked.seed, asked.keep, asked.softness) == (7, Controls().keep, Controls().softness)
    assert asked.refine_steps == (max(steps or 0, RETRY_STEPS) if more else steps)


class Patient:
    """A recogniser that takes a face for another from the look after `until` more than the first."""

    mean, threshold, dim, metric = torch.zeros(1), 0.5, 1, "euclidean"

    def __init__(self, until: int):
        self.until, self.seen = until, []

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        return torch.tensor([[0.5 if len(self.seen) > self.until + 1 else 0.0]])


@pytest.mark.parametrize(("until", "cells"), [(0, 6), (2, 4), (9, 1)])
def test_a_face_is_covered_in_as_few_colours_as_it_takes(until, cells):
    covered, pixels = checking.cover_face(Patient(until), PHOTO, FACE, "pixels")
    assert np.array_equal(pixels, checking.cover(PHOTO, FACE, "pixels", cells))
    assert covered.distance == pytest.approx(0.5 if until < 6 else 0.0)
    assert (covered.box, covered.how, covered.threshold) == (FACE.box, "pixels", 0.5)
    assert (covered.confidence, covered.number, covered.reason) == (0.9, 0, "")


def test_what_is_measured_is_the_covered_face_and_what_was_done_before_stays():
    """Of two faces the second is covered in the pixels that the first has left."""
    recognizer, before = Patient(2), noise(1, 240, 240)
    _, pixels = checking.cover_face(recognizer, PHOTO, FACE, "pixels", before)
    done = replace(PHOTO, pixels=before)
    assert np.array_equal(pixels, checking.cover(done, FACE, "pixels", 4))
    assert torch.equal(recognizer.seen[0], align(PHOTO, FACE, FACE.own_size))
    for cells, seen in zip((6, 5, 4), recognizer.seen[1:], strict=True):
        covered = replace(PHOTO, pixels=checking.cover(done, FACE, "pixels", cells))
        assert torch.equal(seen, align(covered, FACE, FACE.own_size))


def test_a_face_that_no_recogniser_can_see_is_covered_all_the_same(monkeypatch):
    def nothing(*_: object) -> None:
        raise NoFaceFound("too little of it")

    monkeypatch.setattr(checking, "align", nothing)
    covered, pixels = checking.cover_face(Patient(0), PHOTO, FACE, "pixels")
    assert math.isnan(covered.distance)
    assert np.array_equal(pixels, checking.cover(PHOTO, FACE, "pixels"))


def test_the_finished_photo_is_measured_where_the_face_was():
    moved = Face(FACE.box, POINTS + [3.0, 4.0], 1.0)

    def again(photo: Photo, face: Face) -> Face:
        assert photo is PHOTO and face is FACE
        return moved

    recognizer = Patient(-1)
    measured = checking.measure_again(
        SimpleNamespace(again=again), recognizer, PHOTO, FACE, torch.tensor([[0.1]])
    )
    assert measured == (pytest.approx(0.4), pytest.approx(5 / FACE.side))
    assert torch.equal(recognizer.seen[0], align(PHOTO, moved, moved.own_size))
    nobody = SimpleNamespace(again=lambda *_: None)
    away, drift = checking.measure_again(nobody, Patient(0), PHOTO, FACE, DOT)
    assert math.isnan(away) and drift == math.inf
