"""Stages 2 and 3 together: one pass, polish, and a distance that was asked for."""

from __future__ import annotations

import pytest
import torch

from anonlab import Anonymizer, Controls
from anonlab.encoding.encoder import Encoder, EncoderConfig
from anonlab.encoding.first_guess import FirstGuess
from anonlab.errors import StillRecognised, UnknownOption
from anonlab.identity.virtual import virtual_identity
from anonlab.images import resize
from anonlab.perception.masks import mask_from_attribution
from anonlab.perception.perception import attribute
from anonlab.photo.faces import Detector
from anonlab.regeneration.regenerate import OVERSHOOT, TOLERANCE, Regenerator

TINY = EncoderConfig(resolution=64, channels=(8, 8, 16, 16), width=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def regenerator(generator, recognizer, perceptual, population) -> Regenerator:
    """With an encoder that has not learned anything yet: it answers with the first guess."""
    guess = FirstGuess(generator, population)
    encoder = Encoder(TINY).start_at(guess).eval().requires_grad_(False)
    return Regenerator(generator, recognizer, perceptual, guess, encoder)


@pytest.fixture(scope="module")
def asked(recognizer, population, synthetic_faces):
    """A face, its mask, and its identities by strength."""
    face = synthetic_faces[:1]
    with torch.no_grad():
        source = recognizer.embed(face)
    attributes = population.attributes(source, face)
    mask = mask_from_attribution(attribute(recognizer, face), 0.4, size=512)
    return face, mask, lambda s: virtual_identity(population, source, attributes, b"key", 0, s)


def test_with_an_encoder_the_default_is_one_pass(regenerator, asked, monkeypatch):
    monkeypatch.setattr(
        "anonlab.regeneration.regenerate.optimize_latents", lambda *_: pytest.fail("it was optimised")
    )
    face, mask, identity_at = asked
    ws = regenerator.codes(face, mask, identity_at)
    expected = regenerator.encoder(face, mask, identity_at(1.0).target)
    assert torch.equal(ws, expected)


def test_polish_starts_there_and_brings_the_picture_nearer(regenerator, asked):
    face, mask, identity_at = asked
    plain = regenerator.codes(face, mask, identity_at)
    polished = regenerator.codes(face, mask, identity_at, polish=12)
    small = resize(face, 256), resize(mask, 256)
    misses = []
    for ws in (plain, polished):
        made, _ = regenerator.pictures(ws, *small, 256)
        misses.append(((made - small[0]).abs() * (1 - small[1])).mean().item())
    assert misses[1] < 0.9 * misses[0]
    apart = (polished - plain).norm(dim=2).mean()
    assert 0 < apart < (regenerator.generator.w_std.norm() * 2)


@pytest.mark.parametrize("wanted", [0.45, 0.6])
def test_a_distance_that_was_asked_for_is_reached(regenerator, asked, wanted):
    face, mask, identity_at = asked
    ws = regenerator.codes(face, mask, identity_at, target_distance=wanted)
    assert abs(regenerator.reached(ws, face, mask) - wanted) <= TOLERANCE


@pytest.mark.parametrize("polish", [-1, 101])
def test_polish_has_its_limits(polish):
    with pytest.raises(UnknownOption, match="polish"):
        Controls(polish=polish)


def test_a_failed_pass_is_polished_at_the_next_attempt(regenerator, population, astronaut, monkeypatch):
    anonymizer = Anonymizer(
        Detector(),
        regenerator.recognizer,
        regenerator.generator,
        regenerator.perceptual,
        population,
        encoder=regenerator.encoder,
    )
    asked_for = []

    def keep_the_face(aligned, mask, source, controls, progress=False):
        asked_for.append(controls.polish)
        return torch.zeros(1, 16, 512), aligned, aligned

    monkeypatch.setattr(anonymizer, "regenerate", keep_the_face)
    with pytest.raises(StillRecognised):
        anonymizer(astronaut.image(astronaut.pixels))
    assert asked_for == [None, 20, 20]


def test_one_pass_needs_no_optimisation(astronaut, monkeypatch):
    monkeypatch.setattr(
        "anonlab.regeneration.regenerate.optimize_latents", lambda *_: pytest.fail("it was optimised")
    )
    anonymizer = Anonymizer.load(method="one-pass", key=b"a secret of at least 16 bytes")
    assert anonymizer.regenerator.one_pass
    (face,) = anonymizer(astronaut.image(astronaut.pixels), verify=False).faces
    assert face.distance > 0.4
    assert face.attempts == 1


def test_the_first_guess_aims_beyond_the_identity(regenerator, population, synthetic_faces, monkeypatch):
    """Without an encoder: ridge regression shrinks what it is asked for."""
    parts = regenerator.generator, regenerator.recognizer, regenerator.perceptual
    guess = regenerator.first_guess
    single = Regenerator(*parts, guess, one_pass=True)
    distances = {}
    for beyond in (1.0, OVERSHOOT):
        monkeypatch.setattr("anonlab.regeneration.regenerate.OVERSHOOT", beyond)
        distances[beyond] = []
        for face in synthetic_faces[:3].split(1):
            with torch.no_grad():
                source = regenerator.recognizer.embed(face)
            attributes = population.attributes(source, face)
            mask = torch.ones(1, 1, 512, 512)
            ws = single.codes(
                face,
                mask,
                lambda s: virtual_identity(population, source, attributes, b"key", 0, s),  # noqa: B023
            )
            distances[beyond].append(single.reached(ws, face, mask, 256))
    assert OVERSHOOT > 1
    nearer, farther = (torch.tensor(distances[beyond]) for beyond in (1.0, OVERSHOOT))
    assert (farther > nearer).all()
    assert (farther - nearer).mean() > 0.02


def test_of_the_full_optimisation_the_first_guess_is_only_the_start(regenerator, asked):
    """It aims at the identity itself, and the loss does the rest."""
    face, mask, identity_at = asked
    parts = regenerator.generator, regenerator.recognizer, regenerator.perceptual
    full = Regenerator(*parts, regenerator.first_guess)
    identity = identity_at(1.0)
    expected = regenerator.first_guess(face, identity.target)
    assert not full.one_pass
    torch.testing.assert_close(full.start(face, mask, identity), full.generator.broadcast(expected))
