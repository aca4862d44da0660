"""What stands in for generator and recogniser while the encoder warms up."""

from __future__ import annotations

import pytest
import torch

from anonlab.encoding.encoder import EncoderConfig
from anonlab.perception.landmarks import landmark_error, load_landmarks
from anonlab.perception.perception_network import load_perception_network
from anonlab.recognizers import centred
from anonlab.training.encoder import EncoderTask, FrozenNetworks
from anonlab.training.loop import TrainConfig
from anonlab.training.surrogate import Surrogate, SurrogateTask, warm_up
from anonlab.training.synthetic import Samples, generate

TINY = EncoderConfig(resolution=64, channels=(8, 8, 16, 16), width=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def samples(generator, recognizer, population) -> Samples:
    return generate(generator, recognizer, population, 48, 3, load_perception_network())


@pytest.fixture(scope="module")
def surrogate(samples, generator, recognizer) -> Surrogate:
    return Surrogate(samples, generator, recognizer, load_landmarks())


@pytest.fixture
def task(samples, generator, recognizer, perceptual, population) -> EncoderTask:
    return EncoderTask(
        samples, FrozenNetworks(generator, recognizer, perceptual, load_landmarks()), population, TINY
    )


def test_it_knows_what_it_was_fitted_on(surrogate, samples, recognizer):
    known = slice(samples.held_out, len(samples))
    embeddings, points, pictures = surrogate(samples.ws[known].float())
    cosine = (centred(recognizer, embeddings) * centred(recognizer, samples.embeddings[known])).sum(1)
    assert cosine.min() > 0.98
    assert landmark_error(points, load_landmarks()(samples.pictures(known))).max() < 0.02
    truth = torch.nn.functional.avg_pool2d(samples.pictures(known), 16)
    assert (pictures - truth).abs().mean() < 0.03


def test_on_others_it_can_be_trusted_as_far_as_it_says(surrogate, samples, recognizer):
    held_out = slice(0, samples.held_out)
    embeddings, _, _ = surrogate(samples.ws[held_out].float())
    cosine = (centred(recognizer, embeddings) * centred(recognizer, samples.embeddings[held_out])).sum(1)
    assert surrogate.trust == pytest.approx(cosine.mean().item(), abs=1e-5)
    assert 0.1 < surrogate.trust < 0.9  # 36 faces teach something, and not everything


def test_its_gradient_is_that_of_its_answers(surrogate, samples):
    ws = samples.ws[:1].double().float().requires_grad_(True)
    direction = torch.randn(ws.shape, generator=torch.Generator().manual_seed(0))
    [slope] = torch.autograd.grad(surrogate(ws)[1].sum(), ws)
    with torch.no_grad():
        ends = [surrogate(ws + step * direction)[1].double().sum() for step in (1e-2, -1e-2)]
    assert (slope * direction).sum().item() == pytest.approx((ends[0] - ends[1]).item() / 2e-2, rel=0.05)


def test_true_codes_lose_less_than_others(task, surrogate, samples):
    lessons = SurrogateTask(task, surrogate)
    batch = task.draw(torch.arange(20, 28), torch.Generator().manual_seed(1), task.mix, clean=1.0)
    with torch.no_grad():
        right, wrong = (lessons.terms(ws, batch) for ws in (batch.ws, batch.ws.roll(1, 0)))
    assert right["expression"] < 0.5 * wrong["expression"]
    assert right["picture"] < 0.7 * wrong["picture"]
    assert right["latent"] < 1e-6


def test_the_warm_up_moves_the_encoder_and_goes_on_where_it_stopped(task, tmp_path):
    before = task.model.to_ws.clone()
    plan = TrainConfig(steps=6, batch=4, warm_up=1, log_every=2, validate_every=100, save_every=2)
    stopped = warm_up(task, plan, tmp_path, minutes=0)
    assert not stopped.finished
    done = warm_up(task, plan, tmp_path, resume=True)
    assert done.finished and done.step == 6
    assert not torch.equal(task.model.to_ws, before)
    assert torch.equal(task.model.to_ws, done.model.to_ws)  # the average goes on
    again = warm_up(task, plan, tmp_path, resume=True)
    assert again.seconds == done.seconds  # nothing is done twice
