"""What the encoder's picture lacks is carried back to its codes."""

import pytest
import torch
from painting import with_frames

from anonlab.encoding.correction import Correction, Readers
from anonlab.perception.networks import landmark_error
from anonlab.recognizers import centred
from anonlab.weights import store


@pytest.fixture(scope="module")
def correction(exact, recognizer, population) -> Correction:
    return Correction(store.load_shipped("correction"), exact, recognizer, Readers.load(population))


@pytest.fixture(scope="module")
def case(samples):
    ws = samples.ws[:2].float()
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 80:200, 70:186] = 1
    return samples.pictures(slice(0, 1)), mask, torch.lerp(ws[:1], ws[1:], 0.4)


def drawn(generator, ws: torch.Tensor) -> torch.Tensor:
    return generator.synthesis(ws, 256).clamp(-1, 1)


@torch.no_grad()
def test_codes_led_astray_come_nearer(correction, case, exact, recognizer, samples):
    image, mask, astray = case
    mended = correction(astray, image, mask, samples.embeddings[:1])
    aim = centred(recognizer, samples.embeddings[:1])
    before, after = (drawn(exact, ws) for ws in (astray, mended))
    cosines = [(centred(recognizer, recognizer.embed(x)) * aim).sum().item() for x in (before, after)]
    points = correction.readers.landmarks(image)
    errors = [landmark_error(correction.readers.landmarks(x), points).item() for x in (before, after)]
    assert cosines[1] > cosines[0]
    assert errors[1] < 0.9 * errors[0]


@torch.no_grad()
def test_a_picture_that_is_right_stays(correction, case, exact, samples, recognizer):
    _, mask, _ = case
    ws = samples.ws[:1].float()
    image = drawn(exact, ws)
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
def test_faint_frames_on_a_bare_face_ask_for_a_barer_one(correction, case, samples):
    image, *_ = case
    place = sum([*correction.sizes.values()][: [*correction.sizes].index("glasses")])
    framed = with_frames(image, correction.readers.landmarks(image))
    faint, wanted = torch.lerp(image, framed, 0.35), correction.read(image, samples.embeddings[:1])
    assert wanted[0, place] < 0
    asked = [correction.lack(wanted, one)[0, place].item() for one in (image, faint)]
    plain = wanted[0, place] - correction.read(faint, samples.embeddings[:1])[0, place]
    assert asked[0] == 0 and asked[1] < plain - 2
    worn = correction.read(framed, samples.embeddings[:1])
    assert correction.lack(worn, framed)[0, place] == 0  # glasses that are worn stay
