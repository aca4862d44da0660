"""What training learns from: samples, what happens to them, and the losses of each network."""

import copy
from dataclasses import replace

import pytest
import torch

from anonlab.images import blurred, warp
from anonlab.perception.networks import load_landmarks, load_perception_network
from anonlab.training.augment import motion, warp_points
from anonlab.training.loop import TrainConfig, train
from anonlab.training.networks import LandmarkTask, PerceptionTask, RimTask
from anonlab.training.recipes import Mix
from anonlab.training.synthetic import Samples, load_samples

OWN, VIRTUAL = Mix(own=1.0, other=0.0, virtual=0.0), Mix(own=0.0, other=0.0, virtual=1.0)


# samples


def test_a_part_is_held_out_and_never_drawn_and_all_else_is(few, rng):
    assert few.held_out == 2
    drawn = few.random_index(400, rng())
    assert set(drawn.tolist()) == set(range(2, 8))
    assert torch.equal(drawn, few.random_index(400, rng()))


def test_samples_are_what_their_codes_make_and_the_recogniser_says(samples, exact, recognizer):
    with torch.no_grad():
        made = exact.synthesis(samples.ws[:2].float(), 256).clamp(-1, 1)
        assert (made - samples.pictures(slice(0, 2))).abs().max() < 0.03  # half precision, 8 bits
        embeddings = recognizer.embed(samples.pictures(slice(0, 2)))
    assert torch.allclose(embeddings, samples.embeddings[:2], atol=1e-5)
    away = (samples.targets - samples.embeddings[:, None]).norm(dim=2)
    assert away[:, 0].min() > recognizer.threshold  # the others may be nearer


def test_kept_samples_aim_at_what_the_method_is_now(
    generator, recognizer, population, tmp_path, monkeypatch
):
    monkeypatch.setenv("ANONLAB_CACHE", str(tmp_path))

    def load() -> Samples:
        maps = load_perception_network()
        return load_samples(generator, recognizer, population, 2, 3, network=maps)

    made, again = load(), load()
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(made).items())
    assert len(list(tmp_path.glob("samples/*"))) == 1
    monkeypatch.setattr("anonlab.training.targets.TURN", 0.0)
    changed = load().targets[:, 0] - made.targets[:, 0]
    assert changed.norm(dim=1).min() > 0.1


# augmentation


def test_points_move_with_their_picture(rng):
    spot = torch.zeros(16, 1, 64, 64)
    spot[..., 20, 40] = 1
    matrices = motion(16, torch.ones(16, 1, 1, 1), rng())
    seen = warp(blurred(spot, 2.0), matrices).clamp_min(1e-9)[:, 0]
    steps = (torch.arange(64) + 0.5) / 64
    centre = torch.stack([(seen.sum(1) * steps).sum(1), (seen.sum(2) * steps).sum(1)], 1)
    centre = centre / seen.sum((1, 2))[:, None]
    moved = warp_points(torch.tensor([[[40.5, 20.5]]]).expand(16, 1, 2) / 64, matrices)[:, 0]
    assert (centre - moved).abs().max() < 0.01
    assert (torch.linalg.det(matrices[:, :, :2]) < 0).sum() not in (0, 16)  # some are mirrored


# the encoder's task


def test_the_right_answer_has_no_loss(task, samples, rng):
    """The true codes of an untouched face, asked for as itself, are a perfect reconstruction."""
    batch = task.draw(torch.tensor([3, 4, 5]), rng(), OWN)
    pictures = samples.pictures(torch.tensor([3, 4, 5]))
    with torch.no_grad():
        source = task.recognizer.embed(pictures)
        clean = replace(
            batch, images=pictures, source=source, wanted=source, exact=torch.ones(3, dtype=torch.bool)
        )
        perfect = task.terms(clean.ws, clean, rng())
        wrong = task.terms(clean.ws.flip(0), clean, rng())
    for name in ("pixels", "colours", "perceptual", "composite", "identity", "expression", "latent"):
        assert perfect[name] < 0.1 * wrong[name], name
    assert perfect["fooling"] == perfect["source"] == 0


def test_aiming_at_the_person_is_punished_when_another_is_wanted(task, samples, rng):
    index = torch.tensor([3, 4])
    batch = task.draw(index, rng(), VIRTUAL)
    full = replace(batch, mask=torch.ones_like(batch.mask), images=samples.pictures(index))
    full = replace(full, source=samples.embeddings[index])
    with torch.no_grad():
        terms = task.terms(samples.ws[index].float(), full, rng())
    assert terms["source"] > 0.5 * 0.5  # it is the person: cosine 1, allowed about 0
    assert terms["fooling"] > 0.35 * 0.5


def test_the_first_share_learns_codes_only_and_the_loss_falls(task, tmp_path):
    plan = TrainConfig(
        steps=60, batch=4, learning_rate=3e-3, warm_up=5, log_every=20, validate_every=100
    )
    task.codes_only = 1.0
    out = train(task, plan, tmp_path)
    assert set(out.log[0]) == {"step", "images", "lr", "latent", "total", "norm"}
    assert out.log[-1]["latent"] < 0.8 * out.log[0]["latent"]
    numbers = out.validation[-1]
    assert numbers["own_source_cosine"] > numbers["virtual_source_cosine"]
    assert numbers["own_reached"] > 0.4


@pytest.mark.usefixtures("minutes")
def test_three_steps_and_three_resumed_are_six(task, tmp_path, monkeypatch):
    """The first four steps learn codes, the last two draw; numbers are only taken at the end."""
    monkeypatch.setattr(task, "validate", lambda model: {"norm": model.to_ws.norm().item()})
    task.codes_only, first = 0.65, copy.deepcopy(task.model.state_dict())
    plan = TrainConfig(steps=6, batch=1, warm_up=1, log_every=2)
    whole = train(task, plan, tmp_path / "whole")
    task.model.load_state_dict(first)
    assert train(task, plan, tmp_path / "parts", minutes=3.5).step == 3
    task.model.load_state_dict(first)  # nothing of a new model may survive
    parts = train(task, plan, tmp_path / "parts", resume=True)
    assert parts.log == whole.log and "composite" in whole.log[-1]
    assert parts.validation == whole.validation
    both = zip(whole.model.state_dict().values(), parts.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)


def test_every_loss_has_a_gradient(task, rng, monkeypatch):
    """Of pictures that depend on codes as directly as can be: their mean paints a pattern."""
    mix = Mix(own=0.5, other=0.0, virtual=0.5)
    batch = task.draw(torch.arange(2, 6), rng(), mix, clean=1.0)
    pattern = torch.rand(1, 3, 256, 256, generator=rng(1))

    def render(ws):
        return batch.images.roll(1, 0) + 9 * ws.mean((1, 2))[:, None, None, None] * pattern

    monkeypatch.setattr(task, "render", render)
    ws = batch.ws.clone().requires_grad_(True)
    with torch.enable_grad():
        terms = task.terms(ws + 0.01, batch, rng())
    for name, term in terms.items():
        [slope] = torch.autograd.grad(term, ws, retain_graph=True)
        assert slope.isfinite().all(), name
        assert (slope.abs().max() > 0) == (term > 0), name  # a hinge that is met is flat


# the small networks


def test_the_landmark_network_agrees_with_dlib(few):
    numbers = LandmarkTask(few).validate(load_landmarks())
    assert numbers["landmark_error"] < 0.05
    assert numbers["mouth_opening_error"] < 0.03


@pytest.mark.parametrize(
    ("kind", "share", "pictures"), [(LandmarkTask, 0.7, 0), (PerceptionTask, 0.7, 4), (RimTask, 0.92, 8)]
)
def test_the_small_networks_learn(kind, share, pictures, few, tmp_path, monkeypatch):
    monkeypatch.setattr(kind, "pictures", pictures, raising=False)
    plan = TrainConfig(steps=25, batch=4, learning_rate=2e-3, warm_up=3, log_every=5, ema=0.9)
    out = train(kind(few), plan, tmp_path)
    assert out.log[-1]["total"] < share * out.log[0]["total"]
    assert isinstance(out.model, kind.network)
