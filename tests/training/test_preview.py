"""The generator at 128 px: the same features, and pictures nearly as good."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from anonlab.images import resize
from anonlab.perception.perception_network import load_perception_network
from anonlab.training.preview import Preview, fit_preview, preview_error, quick
from anonlab.training.synthetic import generate


@pytest.fixture(scope="module")
def samples(generator, recognizer, population):
    return generate(generator, recognizer, population, 16, 4, load_perception_network())


def test_its_features_are_the_generators_own(generator, samples):
    preview, ws = Preview(generator), samples.ws[:1].float()
    seen = []
    hook = generator.blocks[5].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.enable_grad():  # with a gradient wanted, torch draws and not OpenVINO
        generator.synthesis(ws.clone().requires_grad_(True), 256)
    hook.remove()
    assert torch.allclose(preview.trunk(ws), seen[0], atol=1e-4)


@pytest.fixture
def uncompiled(monkeypatch):
    """Compiling the whole preview takes longer than to run it a few times."""
    monkeypatch.setattr("anonlab.training.preview.shutil.which", lambda _: None)


def test_unfitted_it_is_near_the_averaged_picture_and_fitted_nearer(generator, samples, uncompiled):
    before = preview_error(Preview(generator), samples)
    assert before < 0.08  # of 2
    untouched = generator.to_rgb.weight.clone()
    fitted, errors = fit_preview(generator, samples, steps=12)
    assert errors["before"] == pytest.approx(before, rel=1e-4)
    assert errors["after"] < before
    assert torch.equal(generator.to_rgb.weight, untouched)  # what is fitted is a copy
    assert not any(p.requires_grad for p in fitted.parameters())


def test_codes_get_gradients_through_it(generator, samples, uncompiled):
    preview, ws = Preview(generator).requires_grad_(False), samples.ws[:2].float().requires_grad_(True)
    made = quick(preview, torch.device("cpu"))(ws)
    made.sum().backward()
    assert (ws.grad.abs().sum(2) > 0).all()  # every row reaches the picture
    with torch.no_grad():
        plain = preview(ws)
    assert made.dtype == torch.float32 and made.shape == (2, 3, 128, 128)
    assert (made - plain).abs().mean() < 0.02  # bfloat16
    assert (plain - resize(samples.pictures(slice(0, 2)), 128)).abs().mean() < 0.1


def test_sooner_is_the_same_with_the_same_gradient():
    """Compiled where there is a compiler; a small function, which does not take long."""
    weight = torch.randn(32, 16, generator=torch.Generator().manual_seed(0)) / 4
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(1)).requires_grad_(True)

    def draw(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(F.linear(x, weight))

    answers = []
    for function in (draw, quick(draw, torch.device("cpu"))):
        made = function(x)
        answers.append((made.detach(), *torch.autograd.grad(made.square().sum(), x)))
    for plain, sooner in zip(*answers, strict=True):
        assert sooner.dtype == torch.float32
        torch.testing.assert_close(sooner, plain, atol=0.05, rtol=0.02)
