"""The encoder: what changes its codes, and which files it takes."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from small import TINY

from anonlab import Anonymizer
from anonlab.encoding.encoder import Encoder, load_encoder, metadata
from anonlab.errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from anonlab.regeneration.regenerate import REFINE_STEPS
from anonlab.training.export import write_tensors
from anonlab.weights import store


@pytest.fixture(scope="module")
def tiny(linear) -> Encoder:
    torch.manual_seed(0)
    model = Encoder(TINY).start_at(linear)
    torch.nn.init.normal_(model.to_ws, std=0.02)
    return model.eval().requires_grad_(False)


@pytest.fixture
def stored(tiny, tmp_path):
    path = tmp_path / "encoder-mobile.safetensors"
    write_tensors(tiny.state_dict(), path, metadata(TINY))
    path.with_suffix(".json").write_text(json.dumps({"sha256": store.sha256(path)}))
    return path


def ask(model: Encoder, n: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    mask = torch.zeros(n, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    images = 2 * torch.rand(n, 3, 64, 64, generator=rng) - 1
    return images, mask, torch.randn(n, model.config.identity_dim, generator=rng) / 10


def test_identity_and_mask_change_the_codes(tiny):
    images, mask, identity = ask(tiny)
    ws = tiny(images, mask, identity)
    assert not torch.allclose(ws, tiny(images, mask, -identity), atol=1e-3)
    assert not torch.allclose(ws, tiny(images, 0 * mask, identity), atol=1e-4)
    # each face for itself
    assert torch.allclose(ws[:1], tiny(images[:1], mask[:1], identity[:1]), atol=1e-5)


def test_a_stored_encoder_is_the_same_up_to_half_precision(tiny, stored, generator):
    loaded = load_encoder(generator, stored)
    for (name, a), b in zip(tiny.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a.half().float(), b), name
    assert loaded.config == TINY
    again = load_encoder(generator, stored)
    assert torch.equal(loaded(*ask(tiny)), again(*ask(tiny)))


def as_num_ws_18(tiny, path):
    config = replace(TINY, num_ws=18)
    write_tensors(Encoder(config).state_dict(), path, metadata(config))


def of_two_layers(tiny, path):
    write_tensors(tiny.state_dict(), path, metadata(replace(TINY, layers=2)))


def no_numbers(tiny, path):
    broken = Encoder(TINY)
    broken.load_state_dict(tiny.state_dict())
    torch.nn.init.constant_(broken.to_ws, float("nan"))
    write_tensors(broken.state_dict(), path, metadata(TINY))


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (as_num_ws_18, WeightsMismatch, r"num_ws 18 .* with 16 .*train encoder"),
        (of_two_layers, WeightsCorrupt, "does not hold"),
        (no_numbers, WeightsCorrupt, "not finite"),
        (lambda _, path: path.write_bytes(b""), WeightsCorrupt, r"other\.safetensors"),
        (lambda _, path: shutil.copy(store.locate("population"), path), WeightsMismatch, "not an encod"),
    ],
)
def test_other_files_are_refused(tiny, generator, tmp_path, make, error, said):
    make(tiny, tmp_path / "other.safetensors")
    with pytest.raises(error, match=said):
        load_encoder(generator, tmp_path / "other.safetensors")


@pytest.mark.parametrize("keep", [7, 500, -100])
def test_a_truncated_file_is_refused(stored, generator, keep):
    stored.write_bytes(stored.read_bytes()[:keep])
    with pytest.raises(WeightsCorrupt, match=r"encoder-mobile\.safetensors"):
        load_encoder(generator, stored)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of our own, with all that ships but an encoder."""
    folder = tmp_path / "data"
    shutil.copytree(store.data_folder(), folder, ignore=shutil.ignore_patterns("encoder*", "photos"))
    monkeypatch.setattr(store, "data_folder", lambda: folder)
    return folder


def test_dropped_into_the_data_folder_it_can_be_asked_for(data, stored):
    with pytest.raises(WeightsMissing, match="train encoder --ship"):
        Anonymizer.load(method="encode")
    for path in (stored, stored.with_suffix(".json")):
        shutil.copy(path, data)
    assert Anonymizer.load(method="encode").regenerator.start.encoder.config == TINY
    found = Anonymizer.load(method="optimize").regenerator
    assert (found.start.name, found.start.overshoot, found.refine_steps) == ("linear", 1.0, REFINE_STEPS)
