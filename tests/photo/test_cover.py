"""The fall-back hides who it is, in an ellipse around the face and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from faked import noise

from anonlab.apps.folders.numbered import numbered
from anonlab.controls import COVERS
from anonlab.photo.cover import cover
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo
from anonlab.recognizers import distance


@pytest.mark.parametrize("how", [*COVERS, "numbered"])
def test_nobody_is_recognised_under_it(astronaut, astronaut_found, recognizer, how):
    face = astronaut_found
    shown = np.asarray(numbered(astronaut, [face])) if how == "numbered" else cover(astronaut, face, how)
    assert shown.shape == astronaut.pixels.shape
    hidden = replace(astronaut, pixels=shown)
    with torch.no_grad():
        before, after = (recognizer.embed(align(one, face)) for one in (astronaut, hidden))
    assert distance(recognizer, before, after).item() > recognizer.threshold


def test_few_numbers_are_left_of_a_face():
    face = Face((60, 40, 120, 100), np.zeros((5, 2)), 1.0)
    plain = np.full((160, 180, 3), 120, np.uint8)
    rough = plain + np.array([40, -40])[np.arange(160) % 2][:, None, None]  # of the same means
    shown = [cover(Photo(one.astype(np.uint8), "x"), face, "pixels") for one in (plain, rough)]
    inside = (slice(50, 90), slice(70, 110))
    assert np.abs(shown[0][inside].astype(int) - shown[1][inside]).max() <= 12
    assert np.abs(rough[inside].astype(int) - plain[inside]).min() == 40
    colours = cover(Photo(noise(0, 160, 180), "noise"), face, "pixels")[inside].reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) < 40


@pytest.mark.parametrize("how", COVERS)
def test_only_an_ellipse_around_the_face_changes(how):
    photo = Photo(noise(1, 200, 240), "noise")
    left, top, right, bottom = box = (80, 60, 140, 140)
    changed = (cover(photo, Face(box, np.zeros((5, 2)), 1.0), how) != photo.pixels).any(2)
    assert changed[top:bottom, left:right].mean() > 0.97
    changed[top - 25 : bottom + 26, left - 20 : right + 21] = False
    assert not changed.any()


def test_a_face_beyond_the_frame_is_covered_as_far_as_it_is_there():
    photo = Photo(noise(2, 100, 100), "noise")
    changed = (cover(photo, Face((-30, 20, 30, 80), np.zeros((5, 2)), 1.0)) != photo.pixels).any(2)
    assert changed[30:70, :25].mean() > 0.97
    assert not changed[:, 60:].any()
    away = cover(photo, Face((-90, 20, -40, 80), np.zeros((5, 2)), 1.0))
    assert (away == photo.pixels).all()
