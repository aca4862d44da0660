"""The whole way on real weights; few steps, because what is tested is the way and not the picture."""

import json

import numpy as np
import pytest
import torch
from painting import painting
from PIL import Image

from anonlab import Anonymizer, pipeline
from anonlab.apps import cli
from anonlab.errors import NoFaceFound, StillRecognised
from anonlab.notebook.samples import sample_photo
from anonlab.photo.photos import read_photo
from anonlab.recognizers import distance

KEY = b"a secret of at least 16 bytes"


@pytest.fixture(scope="module")
def anonymizer(optimizing) -> Anonymizer:
    return optimizing


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return sample_photo("astronaut")


@pytest.fixture(scope="module")
def result(anonymizer, photo):
    return anonymizer(photo, mask_area=0.25, seed=0)


def test_the_person_is_not_matched_and_the_photo_is_still_the_photo(result, photo, anonymizer):
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


def test_the_distance_is_that_of_the_finished_photo(result, anonymizer, astronaut_face, astronaut_found):
    from anonlab.photo.faces import align

    photo = read_photo(result.image)
    found = anonymizer.detector.again(photo, astronaut_found)
    with torch.no_grad():
        made = anonymizer.recognizer.embed(align(photo, found, found.own_size))
        source = anonymizer.recognizer.embed(astronaut_face)
    assert abs(distance(anonymizer.recognizer, made, source).item() - result.faces[0].distance) < 3e-3


def test_same_seed_same_result_another_seed_another_person(shipped, photo):
    one, again, other = (shipped(photo, mask_area=0.25, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(np.asarray(again.image), np.asarray(one.image))
    with torch.no_grad():
        pair = [shipped.recognizer.embed(of.faces[0].anonymized) for of in (again, other)]
    assert distance(shipped.recognizer, *pair).item() > 0.3


def test_a_face_still_matched_is_tried_again_with_more_area_and_then_refused(
    anonymizer, photo, monkeypatch
):
    areas = []

    def keep_the_face(image, _, controls):
        areas.append((controls.mask_area, controls.strength))
        return image

    painting(monkeypatch, anonymizer, keep_the_face)
    with pytest.raises(StillRecognised, match="after 3 attempts; try another seed"):
        anonymizer(photo, mask_area=0.2, strength=0.5)
    assert areas == [(0.2, 0.5), (pytest.approx(0.28), 1.0), (pytest.approx(0.392), 1.0)]
    unverified = anonymizer(photo, strength=0.0, verify=False)
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
        ([0.65], {"strength": 0.5}, [1.0], 0),  # so near was asked for
        ([0.65], {"refine_steps": 2}, [1.0], 0),
    ],
)
def test_a_face_that_is_nearly_matched_is_tried_once_more_further_away(
    anonymizer, photo, monkeypatch, distances, options, aims, kept
):
    one_pass, asked = anonymizer.replace(refine_steps=0), []

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
    assert asked[-1][1] == pytest.approx(0.25 if len(aims) == 1 else 0.35, abs=0.01)


def test_a_face_that_is_gone_is_refused(anonymizer, photo, monkeypatch):
    painting(monkeypatch, anonymizer, lambda image, *_: torch.zeros_like(image))
    with pytest.raises(StillRecognised, match="no longer found"):
        anonymizer(photo, mask_area=0.9)


def test_every_face_of_a_photo_is_changed_or_only_the_largest(anonymizer, generator, monkeypatch):
    canvas = Image.new("RGB", (900, 520), (128, 128, 128))
    canvas.paste(sample_photo("synthetic-3", generator).resize((500, 500)), (0, 10))
    canvas.paste(sample_photo("synthetic-8", generator).resize((380, 380)), (510, 10))

    painting(monkeypatch, anonymizer, lambda image, mask, _: (1 - 2 * mask).expand_as(image))
    both = anonymizer(canvas, verify=False)
    one = anonymizer(canvas, faces="largest", verify=False)
    assert (len(both.faces), len(one.faces)) == (2, 1)
    small = (slice(None), slice(520, 900))
    assert np.array_equal(np.asarray(one.image)[small], np.asarray(canvas)[small])
    assert not np.array_equal(np.asarray(both.image)[small], np.asarray(canvas)[small])


def test_grey_stays_grey_and_alpha_stays(anonymizer, photo, monkeypatch):
    painting(monkeypatch, anonymizer, lambda image, mask, _: (image + 0.3 * mask).clamp(-1, 1))
    assert anonymizer(photo.convert("L"), verify=False).image.mode == "L"
    clear = photo.copy()
    clear.putalpha(200)
    image = anonymizer(clear, verify=False).image
    assert image.mode == "RGBA"
    assert image.getextrema()[3] == (200, 200)


def test_a_photo_without_a_face(anonymizer):
    with pytest.raises(NoFaceFound):
        anonymizer(Image.new("RGB", (300, 300), (10, 90, 30)))


def test_command_line_on_a_real_photo(shipped, photo, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    photo.save(folder / "her.jpg", quality=95)
    Image.new("RGB", (200, 200), (200, 30, 30)).save(folder / "wall.png")
    key = tmp_path / "key"
    key.write_bytes(KEY)
    monkeypatch.setattr(Anonymizer, "load", lambda *_, **__: shipped)
    status = cli.main(["anonymize", str(folder), "--out", str(tmp_path / "out"), "--key", str(key)])
    assert status == 1  # the wall has no face
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["her.jpg", "record.json"]
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    good, bad = record["photos"]
    assert good["faces"][0]["matched"] is False
    assert set(good["faces"][0]) >= {
        "box", "distance", "threshold", "matched", "mask_area", "seed", "seconds"
    }  # fmt: skip
    assert bad["output"] is None
    assert "wall.png" in bad["error"]
    assert "wall.png" in capsys.readouterr().err
