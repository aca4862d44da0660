"""The generator at 128 px: the same features, and pictures nearly as good."""

from __future__ import annotations

import pytest
import torch

from anonlab.images import resize
from anonlab.training.preview import Preview, fit_preview, preview_error, quick
from anonlab.training.synthetic import generate


@pytest.fixture(scope="module")
def samples(generator, recognizer, population):
    return generate(generator, recognizer, population, 16, seed=4)


def test_its_features_are_the_generators_own(generator, samples):
    preview, ws = Preview(generator), samples.ws[:1].float()
    seen = []
    hook = generator.blocks[5].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.enable_grad():  # with a gradient wanted, torch draws and not OpenVINO
        generator.synthesis(ws.clone().requires_grad_(True), 256)
    hook.remove()
    assert torch.allclose(preview.trunk(ws), seen[0], atol=1e-4)


def test_unfitted_it_is_near_the_averaged_picture_and_fitted_nearer(generator, samples, monkeypatch):
    monkeypatch.setattr(
        "anonlab.training.preview.shutil.which", lambda _: None
    )  # compiling takes longer
    before = preview_error(Preview(generator), samples)
    assert before < 0.08  # of 2
    untouched = generator.to_rgb.weight.clone()
    fitted, errors = fit_preview(generator, samples, steps=25)
    assert errors["before"] == pytest.approx(before, rel=1e-4)
    assert errors["after"] < before
    assert torch.equal(generator.to_rgb.weight, untouched)  # what is fitted is a copy
    assert not any(p.requires_grad for p in fitted.parameters())


def test_sooner_is_the_same_picture_and_codes_get_gradients_through_it(generator, samples):
    preview, ws = Preview(generator).requires_grad_(False), samples.ws[:2].float().requires_grad_(True)
    made = quick(preview, torch.device("cpu"))(ws)
    made.sum().backward()
    assert (ws.grad.abs().sum(2) > 0).all()  # every row reaches the picture
    with torch.no_grad():
        plain = preview(ws)
    assert made.dtype == torch.float32 and made.shape == (2, 3, 128, 128)
    assert (made - plain).abs().mean() < 0.02  # bfloat16
    assert (plain - resize(samples.pictures(slice(0, 2)), 128)).abs().mean() < 0.1
