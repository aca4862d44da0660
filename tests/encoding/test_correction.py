"""What the encoder's picture lacks is carried back to its codes."""

import pytest
import torch
from small import TINY

from anonlab.encoding.correction import Correction, Readers
from anonlab.encoding.encoder import Encoder
from anonlab.encoding.start import MAX_RMS, EncoderStart
from anonlab.generators.base import truncate_to_rms
from anonlab.images import COLOR_GRID, resize
from anonlab.perception.networks import landmark_error
from anonlab.recognizers import centred
from anonlab.weights import store


@pytest.fixture(scope="module")
def correction(generator, recognizer, population) -> Correction:
    return Correction(store.load_shipped("correction"), generator, recognizer, Readers.load(population))


@pytest.fixture(scope="module")
def case(samples):
    ws = samples.ws[:2].float()
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 80:200, 70:186] = 1
    return samples.pictures(slice(0, 1)), mask, torch.lerp(ws[:1], ws[1:], 0.4)


def drawn(generator, ws: torch.Tensor) -> torch.Tensor:
    return generator.synthesis(ws, 256).clamp(-1, 1)


@torch.no_grad()
def test_codes_led_astray_come_nearer(correction, case, generator, recognizer, samples):
    image, mask, astray = case
    mended = correction(astray, image, mask, samples.embeddings[:1])
    aim = centred(recognizer, samples.embeddings[:1])
    before, after = (drawn(generator, ws) for ws in (astray, mended))
    cosines = [(centred(recognizer, recognizer.embed(x)) * aim).sum().item() for x in (before, after)]
    points = correction.readers.landmarks(image)
    errors = [landmark_error(correction.readers.landmarks(x), points).item() for x in (before, after)]
    assert cosines[1] > cosines[0]
    assert errors[1] < 0.9 * errors[0]


@torch.no_grad()
def test_a_picture_that_is_right_stays(correction, case, generator, samples, recognizer):
    _, mask, _ = case
    ws = samples.ws[:1].float()
    image = drawn(generator, ws)
    again = correction(ws, image, mask, recognizer.embed(image))
    torch.testing.assert_close(again, ws, atol=1e-4, rtol=0)


@torch.no_grad()
def test_codes_stay_as_small_as_asked(correction, samples, generator):
    image, aim = samples.pictures(slice(0, 1)), samples.embeddings[:1]
    far = samples.embeddings[:1] + 5 * (samples.embeddings[1:2] - samples.embeddings[:1])
    for target, most in ((aim, 0.3), (far, 0.75), (far, 5.0)):
        ws = correction(samples.ws[1:2].float(), image, torch.ones(1, 1, 256, 256), target, max_rms=most)
        size = ((ws - generator.w_avg) / generator.w_std).square().mean().sqrt().item()
        assert size == pytest.approx(most, abs=1e-4) if most < 1 else 1 < size < most


@torch.no_grad()
def test_one_round_is_the_formula(correction, case, samples, generator, recognizer):
    """ws + γ C_wy (C_yy + R)⁻¹ (y - y(ws)), with the inverse written out in double precision."""
    from anonlab.encoding.correction import GAIN

    image, mask, astray = case
    target = samples.embeddings[:1]
    found = correction(astray, image, mask, target, rounds=1)
    made = drawn(generator, astray)
    lack = correction.lack(correction.read(image, target), made)
    noise = correction.noise(resize(mask, COLOR_GRID))[0].double().square().diag()
    inverse = torch.linalg.inv(correction.covariance.double() + noise)
    step = correction.codes.double() @ (correction.readings.double().T @ (inverse @ lack.double().T))
    expected = astray + GAIN * generator.w_std * step.float().view(astray.shape)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


@torch.no_grad()
def test_encoder_and_correction_aim_beyond_the_identity(population, synthetic_faces, linear):
    """Both are asked for the same point, six times as far from the person, and stay among people."""
    encoder = Encoder(TINY).start_at(linear).eval()
    asked = []

    def noted(ws, image, mask, target, noise, max_rms):
        asked.append(target)
        return ws

    face, mask = synthetic_faces[:1], torch.zeros(1, 1, 512, 512)
    source, target = population.embeddings[:1], population.embeddings[1:2]
    ws = EncoderStart(encoder, noted, overshoot=6.0)(face, mask, source, target)
    beyond = 6 * target - 5 * source
    torch.testing.assert_close(asked[0], beyond)
    codes = encoder(face, mask, beyond)
    torch.testing.assert_close(ws, truncate_to_rms(codes, encoder.w_avg, encoder.w_std, MAX_RMS))
    size = ((ws - encoder.w_avg) / encoder.w_std).square().mean().sqrt().item()
    assert not torch.equal(ws, codes) and size == pytest.approx(MAX_RMS, abs=1e-4)
