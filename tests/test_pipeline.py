"""The whole way on real weights; few steps, because what is tested is the way and not the picture."""

import numpy as np
import pytest
import torch
from painting import painting
from PIL import Image

from anonlab import pipeline
from anonlab.checking import RETRY_STEPS
from anonlab.errors import StillRecognised
from anonlab.notebook.samples import sample_photo
from anonlab.photo.photos import read_photo
from anonlab.recognizers import distance


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return sample_photo("astronaut")


@pytest.fixture(scope="module")
def result(optimizing, photo):
    return optimizing(photo, mask_area=0.25, seed=0)


def test_the_person_is_not_matched_and_the_photo_is_still_the_photo(result, photo, optimizing):
    [face] = result.faces
    assert result.image.size == photo.size
    assert face.distance > face.threshold == 0.6
    assert not face.matched
    before, after = np.asarray(photo).astype(int), np.asarray(result.image).astype(int)
    changed = (before != after).any(2)
    assert 0.005 < changed.mean() < 0.1  # her face is a small part of the photo
    _, _, right, bottom = (int(side) for side in face.box)
    assert not changed[bottom + 60 :].any()
    assert not changed[:, right + 80 :].any()


def test_the_distance_is_that_of_the_finished_photo(result, optimizing, astronaut_face, astronaut_found):
    from anonlab.photo.faces import align

    photo = read_photo(result.image)
    found = optimizing.detector.again(photo, astronaut_found)
    with torch.no_grad():
        made = optimizing.recognizer.embed(align(photo, found, found.own_size))
        source = optimizing.recognizer.embed(astronaut_face)
    assert abs(distance(optimizing.recognizer, made, source).item() - result.faces[0].distance) < 3e-3


def test_same_seed_same_result_another_seed_another_person(shipped, photo):
    one, again, other = (shipped(photo, mask_area=0.25, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(np.asarray(again.image), np.asarray(one.image))
    with torch.no_grad():
        pair = [shipped.recognizer.embed(of.faces[0].anonymized) for of in (again, other)]
    assert distance(shipped.recognizer, *pair).item() > 0.3


def test_a_face_still_matched_is_tried_again_with_more_area_and_then_refused(
    optimizing, photo, monkeypatch
):
    """With an optimisation at last."""
    one_pass, tried = optimizing.replace(refine_steps=0), []

    def keep_the_face(image, _, controls):
        tried.append((controls.mask_area, controls.strength, controls.refine_steps))
        return image

    painting(monkeypatch, one_pass, keep_the_face)
    with pytest.raises(StillRecognised, match="after 3 attempts; try another seed"):
        one_pass(photo, mask_area=0.2, strength=0.5)
    again, last = (pytest.approx(0.28), 1.0, None), (pytest.approx(0.392), 1.0, RETRY_STEPS)
    assert tried == [(0.2, 0.5, None), again, last]
    unverified = one_pass(photo, strength=0.0, verify=False)
    assert unverified.faces[0].matched
    assert unverified.faces[0].distance < 0.2


@pytest.mark.parametrize(
    ("distances", "options", "aims", "kept"),
    [
        ([0.8], {}, [1.0], 0),
        ([0.65, 0.9], {}, [1.0, 1.5], 1),
        ([0.65, 0.62], {}, [1.0, 1.5], 0),  # the further one is nearer: the first stays
        ([0.65, 0.5], {}, [1.0, 1.5], 0),
        ([0.5, 0.65], {}, [1.0, 1.5], 1),  # good enough for a second one
        ([0.61, 0.62, 0.7], {}, [1.0, 1.5, 1.5], 2),  # too near, in another crop, for both
        ([0.65], {"strength": 0.5}, [1.0], 0),  # so near was asked for
        ([0.65], {"refine_steps": 2}, [1.0], 0),
    ],
)
def test_a_face_that_is_nearly_matched_is_tried_once_more_further_away(
    optimizing, photo, monkeypatch, distances, options, aims, kept
):
    one_pass, asked = optimizing.replace(refine_steps=0), []

    def encode(face, mask, controls, overshoot, _):
        asked.append((overshoot, controls.mask_area))
        return torch.zeros(1, 16, 512)

    painting(monkeypatch, one_pass, lambda image, *_: image, encode)
    answers = iter(distances)
    monkeypatch.setattr(pipeline, "measure_again", lambda *_: (next(answers), 0.0))
    [face] = one_pass(photo, **options).faces
    assert [overshoot for overshoot, _ in asked] == aims
    assert (face.distance, face.attempts) == (distances[kept], kept + 1)
    assert face.controls.mask_area == asked[kept][1]
    assert [area for _, area in asked[:2]] == pytest.approx([0.4, 0.56][: len(aims)], abs=0.01)


def test_a_face_that_is_gone_is_refused(optimizing, photo, monkeypatch):
    painting(monkeypatch, optimizing, lambda image, *_: torch.zeros_like(image))
    with pytest.raises(StillRecognised, match="no longer found"):
        optimizing(photo, mask_area=0.9)


def test_grey_stays_grey_and_alpha_stays(optimizing, photo, monkeypatch):
    painting(monkeypatch, optimizing, lambda image, mask, _: (image + 0.3 * mask).clamp(-1, 1))
    assert optimizing(photo.convert("L"), verify=False).image.mode == "L"
    clear = photo.copy()
    clear.putalpha(200)
    image = optimizing(clear, verify=False).image
    assert image.mode == "RGBA"
    assert image.getextrema()[3] == (200, 200)
