"""The whole way on real weights; few steps, because what is tested is the way and not the picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from anonlab import Anonymizer, Controls, pipeline
from anonlab.apps import cli
from anonlab.encoding.linear import LinearInitialization
from anonlab.errors import DeviceUnavailable, NoFaceFound, StillRecognised, UnknownOption
from anonlab.generators.samples import sample_photo
from anonlab.images import resize
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


def test_the_distance_is_that_of_the_finished_photo(result, anonymizer, astronaut_face):
    from anonlab.photo.faces import align

    photo = read_photo(result.image)
    [before] = anonymizer.detector(read_photo(sample_photo("astronaut")))
    found = anonymizer.detector.again(photo, before)
    with torch.no_grad():
        made = anonymizer.recognizer.embed(align(photo, found, found.own_size))
        source = anonymizer.recognizer.embed(astronaut_face)
    assert abs(distance(anonymizer.recognizer, made, source).item() - result.faces[0].distance) < 3e-3


def test_result_holds_what_design_promises(result):
    [face] = result.faces
    assert face.attribution.shape == (1, 1, 256, 256)
    assert face.mask.shape == (1, 1, 256, 256)  # her face's square has 173 pixels a side
    assert face.aligned.shape == face.generated.shape == face.anonymized.shape == (1, 3, 256, 256)
    assert abs(face.mask.mean().item() - face.controls.mask_area) < 0.02
    outside = face.mask == 0
    assert torch.equal((face.aligned * outside), (face.anonymized * outside))
    assert face.controls.seed == 0


def test_same_seed_same_result_another_seed_another_person(shipped, photo):
    one, again, other = (shipped(photo, mask_area=0.25, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(np.asarray(again.image), np.asarray(one.image))
    with torch.no_grad():
        pair = [shipped.recognizer.embed(of.faces[0].anonymized) for of in (again, other)]
    assert distance(shipped.recognizer, *pair).item() > 0.3


def test_optimisation_fits_what_stays(anonymizer, astronaut_face):
    """More steps bring the regenerated picture nearer to the photo outside the mask."""
    from anonlab.regeneration.optimize import optimize_latents

    face = resize(astronaut_face, 256)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 90:200, 80:176] = 1
    path = anonymizer.path(anonymizer.look(face), Controls())
    identity = path.at(1.0)
    start = anonymizer.regenerator.start(face, mask, path.source, identity.target)
    errors = []
    for steps in (1, 8):
        ws = optimize_latents(
            anonymizer.generator, anonymizer.recognizer, anonymizer.perceptual, face, mask,
            identity, start, steps,
        )  # fmt: skip
        with torch.no_grad():
            made = anonymizer.generator.synthesis(ws, 256)
        errors.append(((made - face).abs() * (1 - mask)).mean().item())
    assert errors[1] < 0.9 * errors[0]


def test_the_linear_start_beats_the_average_on_people_it_has_not_seen(
    generator, population, recognizer, synthetic_faces
):
    guess = LinearInitialization(generator, population)
    with torch.no_grad():
        own = recognizer.embed(synthetic_faces)
        made = generator.synthesis(generator.broadcast(guess(synthetic_faces, own)), 256)
        average = generator.synthesis(generator.broadcast(generator.w_avg[None]), 256)
        truth = resize(synthetic_faces, 256)
        assert (made - truth).abs().mean() < 0.8 * (average - truth).abs().mean()
        near = distance(recognizer, recognizer.embed(made), own).mean()
        far = distance(recognizer, recognizer.embed(average).expand_as(own), own).mean()
    assert near < far


def test_a_face_still_matched_is_tried_again_with_more_area_and_then_refused(
    anonymizer, photo, monkeypatch
):
    areas = []

    def keep_the_face(face, mask, controls, *_, **__):
        areas.append((controls.mask_area, controls.strength))
        return torch.zeros(1, 16, 512), face.image, face.image

    monkeypatch.setattr(anonymizer, "regenerate", keep_the_face)
    with pytest.raises(StillRecognised, match="nothing was written"):
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

    def keep_the_face(face, mask, controls, *_, further, **__):
        asked.append((further, controls.mask_area))
        return torch.zeros(1, 16, 512), face.image, face.image

    monkeypatch.setattr(one_pass, "regenerate", keep_the_face)
    answers = iter(distances)
    monkeypatch.setattr(pipeline, "measure_again", lambda *_: (next(answers), 0.0, None))
    [face] = one_pass(photo, **options).faces
    assert [further for further, _ in asked] == aims
    assert (face.distance, face.attempts) == (distances[kept], kept + 1)
    assert face.controls.mask_area == asked[kept][1]
    assert asked[-1][1] == pytest.approx(0.25 if len(aims) == 1 else 0.35, abs=0.01)


class Knows:
    """A guide that knows everybody, or nobody."""

    metric, mean, differentiable = "euclidean", torch.zeros(1), True

    def __init__(self, everybody: bool) -> None:
        self.threshold = 10.0 if everybody else 0.0

    def embed(self, images):
        side = images.shape[-1]
        middle = slice(3 * side // 8, 5 * side // 8)  # of the face, where dlib looks too
        return images[..., middle, middle].mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("everybody", [True, False])
def test_a_face_that_a_guide_still_matches_is_refused(shipped, photo, everybody):
    watched = shipped.replace(guides=(Knows(everybody),), refine_steps=1)
    assert watched.perception.guides == watched.regenerator.guides
    if everybody:
        with pytest.raises(StillRecognised, match="still recognised after 3"):
            watched(photo)
    else:
        assert watched(photo).faces[0].attempts == 1


def test_a_face_that_is_gone_is_refused(anonymizer, photo, monkeypatch):
    def erase(face, mask, controls, *_, **__):
        return torch.zeros(1, 16, 512), face.image, torch.zeros_like(face.image)

    monkeypatch.setattr(anonymizer, "regenerate", erase)
    with pytest.raises(StillRecognised, match="no longer found"):
        anonymizer(photo, mask_area=0.9)


def test_every_face_of_a_photo_is_changed_or_only_the_largest(anonymizer, generator, monkeypatch):
    canvas = Image.new("RGB", (900, 520), (128, 128, 128))
    canvas.paste(sample_photo("synthetic-3", generator).resize((500, 500)), (0, 10))
    canvas.paste(sample_photo("synthetic-8", generator).resize((380, 380)), (510, 10))

    def paint(face, mask, controls, *_, **__):
        return torch.zeros(1, 16, 512), face.image, 1 - 2 * mask * torch.ones_like(face.image)

    monkeypatch.setattr(anonymizer, "regenerate", paint)
    both = anonymizer(canvas, verify=False)
    one = anonymizer(canvas, faces="largest", verify=False)
    assert (len(both.faces), len(one.faces)) == (2, 1)
    small = (slice(None), slice(520, 900))
    assert np.array_equal(np.asarray(one.image)[small], np.asarray(canvas)[small])
    assert not np.array_equal(np.asarray(both.image)[small], np.asarray(canvas)[small])


def test_grey_stays_grey_and_alpha_stays(anonymizer, photo, monkeypatch):
    def lighten(face, mask, controls, *_, **__):
        return torch.zeros(1, 16, 512), face.image, (face.image + 0.3 * mask).clamp(-1, 1)

    monkeypatch.setattr(anonymizer, "regenerate", lighten)
    assert anonymizer(photo.convert("L"), verify=False).image.mode == "L"
    clear = photo.copy()
    clear.putalpha(200)
    image = anonymizer(clear, verify=False).image
    assert image.mode == "RGBA"
    assert image.getextrema()[3] == (200, 200)


@pytest.mark.parametrize(
    "options",
    [{"mask_area": 2}, {"strength": -1}, {"keep": ("hair",)}, {"faces": "some"}, {"colour": 1},
     {"target_distance": 9}],
)  # fmt: skip
def test_unknown_options_are_refused_before_any_work(anonymizer, options):
    with pytest.raises(UnknownOption):
        anonymizer("does-not-exist.jpg", **options)


def test_unknown_parts_are_refused():
    with pytest.raises(UnknownOption, match="method"):
        Anonymizer.load(method="magic")
    with pytest.raises(UnknownOption, match="generator"):
        Anonymizer.load(generator="stylegan9", device="cpu")
    with pytest.raises(UnknownOption, match="part colour"):
        Anonymizer.load(method="one-pass", device="cpu").replace(colour="red")
    with pytest.raises(UnknownOption, match="device"):
        Anonymizer.load(device="tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_is_a_clear_error():
    with pytest.raises(DeviceUnavailable, match="choose cpu"):
        Anonymizer.load(device="cuda")


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
