"""Stages 2 and 3 together: where codes start, refinement, and a distance that was asked for."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from painting import with_irises
from small import TINY

from anonlab import Anonymizer, Controls
from anonlab.device import cores, torch_threads
from anonlab.encoding.encoder import Encoder
from anonlab.encoding.start import EncoderStart
from anonlab.errors import UnknownOption
from anonlab.identity.virtual import identity_path
from anonlab.images import resize
from anonlab.openvino_runtime import roughly
from anonlab.perception.eyes import iris_patches
from anonlab.perception.masks import mask_from_attribution
from anonlab.perception.networks import load_landmarks
from anonlab.perception.perception import Perception
from anonlab.regeneration.regenerate import OPTIMISING, TOLERANCE, Regenerator

KEY = b"a secret of at least 16 bytes"


@pytest.fixture(scope="module")
def regenerator(generator, recognizer, perceptual, linear) -> Regenerator:
    """With an encoder that has not learned anything yet: it answers with the linear codes."""
    encoder = Encoder(TINY).start_at(linear).eval().requires_grad_(False)
    return Regenerator(generator, recognizer, perceptual, EncoderStart(encoder), load_landmarks())


@pytest.fixture(scope="module")
def asked(recognizer, population, synthetic_faces):
    face = synthetic_faces[:1]
    with torch.no_grad():
        source = recognizer.embed(face)
    attributes = population.attributes(source, face)
    mask = mask_from_attribution(Perception(recognizer)(face), 0.4, size=512)
    return face, mask, identity_path(population, source, attributes, b"key")


def test_without_refinement_the_codes_are_the_start(regenerator, asked, monkeypatch):
    monkeypatch.setattr(
        "anonlab.regeneration.regenerate.optimize_latents", lambda *_: pytest.fail("it was optimised")
    )
    face, mask, path = asked
    ws = regenerator.codes(face, mask, path)
    with roughly(face.device):
        expected = regenerator.start.encoder(face, mask, path.aim()).float()
    torch.testing.assert_close(ws, expected)


@pytest.mark.parametrize("given", ["", "0", "3,2"])
def test_one_face_is_optimised_at_a_time_with_all_cores(regenerator, asked, monkeypatch, given):
    (face, mask, path), threads = asked, []

    def optimised(*arguments, **_):
        assert OPTIMISING.locked()
        threads.append(torch.get_num_threads())
        return arguments[6]

    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr("anonlab.regeneration.regenerate.optimize_latents", optimised)
    with torch_threads(1):
        replace(regenerator, refine_steps=1).codes(face, mask, path)
        assert threads == [3 if given == "3,2" else cores()]
        assert torch.get_num_threads() == 1 and not OPTIMISING.locked()


@pytest.mark.parametrize("size", [200, 256, 300, 1024, 1200])
def test_a_picture_is_drawn_no_larger_than_it_must_be(regenerator, asked, size, monkeypatch):
    synthesis = Mock(return_value=asked[0])
    monkeypatch.setattr(regenerator.generator, "synthesis", synthesis)
    face, mask = (resize(one, size) for one in asked[:2])
    ws = torch.zeros(1, regenerator.generator.num_ws, 512)
    made, composite, _ = regenerator.pictures(ws, face, mask)
    assert made.shape == composite.shape == (1, 3, size, size)
    drawn = {200: 256, 256: 256, 300: 512, 1024: 1024, 1200: None}[size]
    synthesis.assert_called_once_with(ws, drawn)


def test_a_distance_that_was_asked_for_is_reached(shipped, asked, monkeypatch):
    """By codes that are optimised after the shipped start, and, with new eyes, by that start alone: then
    the distance is that of the new eyes."""
    monkeypatch.setattr("anonlab.regeneration.regenerate.PUSH_STEPS", 3)  # a second each
    face, mask, path = asked
    one_pass = shipped.regenerator
    optimizing = replace(one_pass, refine_steps=2)
    ws = optimizing.codes(face, mask, path, Controls(target_distance=0.6))
    assert abs(optimizing.reached(ws, face, mask) - 0.6) <= TOLERANCE
    mask = torch.ones_like(mask)
    new_eyes = Controls(target_distance=0.5, include=("eyes",))
    ws = one_pass.codes(face, mask, path, new_eyes)
    reached, own_eyes = (
        one_pass.reached(ws, face, mask, controls=one) for one in (new_eyes, Controls())
    )
    assert abs(reached - 0.5) <= TOLERANCE and abs(reached - own_eyes) > 1e-4


def test_the_eyes_are_those_of_the_photo_unless_new_ones_are_asked_for(regenerator, asked):
    """Painted black in the photo, they are black in the new face, whose codes stay the same."""
    face, _, path = asked
    mask = torch.ones(1, 1, 512, 512)
    ws, points = regenerator.codes(face, mask, path), regenerator.landmarks(face)
    painted = with_irises(face, points, 0)
    own, plain, black, new = (
        iris_patches(picture, points, width=0.3).mean()
        for picture in (
            face,
            regenerator.pictures(ws, face, mask, 512)[1],
            regenerator.pictures(ws, painted, mask, 512)[1],
            regenerator.pictures(ws, painted, mask, 512, Controls(include=("eyes",)))[1],
        )
    )
    assert black < plain - 0.1 and black < new - 0.1 and abs(plain - own) < 0.05


def test_a_part_is_replaced_and_the_rest_stays(regenerator, detector, population):
    anonymizer = Anonymizer(detector, regenerator, population, key=KEY)
    other = anonymizer.replace(refine_steps=3, key=b"another secret of enough bytes")
    assert other.regenerator.refine_steps == 3 and other.key != anonymizer.key
    assert other.regenerator.start is anonymizer.regenerator.start
    assert other.perception is anonymizer.perception
    assert anonymizer.regenerator.refine_steps == 0
    with pytest.raises(UnknownOption, match="part encoder does not exist"):
        anonymizer.replace(encoder=None)


def test_another_generator_starts_at_its_average(regenerator, detector, population, asked):
    class Other:
        name, num_ws, w_dim, resolutions = "other", 3, 4, (256,)
        w_avg, w_std = torch.arange(4.0), torch.ones(4)

        def broadcast(self, w):
            return w[:, None].expand(-1, self.num_ws, -1)

    other = Anonymizer(detector, regenerator, population, key=KEY).replace(generator=Other())
    face, mask, path = asked
    ws = other.regenerator.start(face, mask, path.source, path.source)
    assert torch.equal(ws, torch.arange(4.0).expand(1, 3, 4))
