"""What is quicker than generator and recogniser: the preview at 128 px, and the surrogate."""

import pytest
import torch
import torch.nn.functional as F

from anonlab.perception.networks import landmark_error, load_landmarks
from anonlab.recognizers import centred
from anonlab.training.loop import TrainConfig
from anonlab.training.preview import Preview
from anonlab.training.surrogate import Surrogate, SurrogateTask, warm_up


def test_the_previews_features_are_the_generators_own(generator, samples):
    preview, ws = Preview(generator), samples.ws[:1].float()
    seen = []
    hook = generator.blocks[5].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.enable_grad():  # with a gradient wanted, torch draws and not OpenVINO
        generator.synthesis(ws.clone().requires_grad_(True), 256)
    hook.remove()
    assert torch.allclose(preview.trunk(ws), seen[0], atol=1e-4)


@pytest.fixture(scope="module")
def surrogate(samples, generator, recognizer) -> Surrogate:
    return Surrogate(samples, generator, recognizer, load_landmarks())


def test_the_surrogate_knows_what_it_was_fitted_on(surrogate, samples, recognizer):
    known = slice(samples.held_out, len(samples))
    embeddings, points, pictures = surrogate(samples.ws[known].float())
    cosine = (centred(recognizer, embeddings) * centred(recognizer, samples.embeddings[known])).sum(1)
    assert cosine.min() > 0.98
    assert landmark_error(points, load_landmarks()(samples.pictures(known))).max() < 0.02
    assert (pictures - F.avg_pool2d(samples.pictures(known), 16)).abs().mean() < 0.03


def test_its_gradient_is_that_of_its_answers(surrogate, samples, rng):
    ws = samples.ws[:1].float().requires_grad_(True)
    direction = torch.randn(ws.shape, generator=rng())
    [slope] = torch.autograd.grad(surrogate(ws)[1].sum(), ws)
    with torch.no_grad():
        ends = [surrogate(ws + step * direction)[1].double().sum() for step in (1e-2, -1e-2)]
    assert (slope * direction).sum().item() == pytest.approx((ends[0] - ends[1]).item() / 2e-2, rel=0.05)


def test_true_codes_lose_less_than_others(task, surrogate, samples, rng):
    task.samples = samples  # of which the surrogate knows those that are not held out
    batch = task.draw(torch.arange(20, 28), rng(1), task.mix, clean=1.0)
    lessons = SurrogateTask(task, surrogate)
    with torch.no_grad():
        right, wrong = (lessons.terms(ws, batch) for ws in (batch.ws, batch.ws.roll(1, 0)))
    assert right["expression"] < 0.5 * wrong["expression"]
    assert right["picture"] < 0.7 * wrong["picture"]
    assert right["latent"] < 1e-6


def test_the_warm_up_moves_the_encoder_and_goes_on_where_it_stopped(task, tmp_path):
    before = task.model.to_ws.clone()
    plan = TrainConfig(steps=6, batch=4, warm_up=1, log_every=2, validate_every=100, save_every=2)
    assert not warm_up(task, plan, tmp_path, minutes=0).finished
    done = warm_up(task, plan, tmp_path, resume=True)
    assert done.finished and done.step == 6
    assert not torch.equal(task.model.to_ws, before)
    assert torch.equal(task.model.to_ws, done.model.to_ws)  # the average goes on
    again = warm_up(task, plan, tmp_path, resume=True)
    assert again.seconds == done.seconds  # nothing is done twice
