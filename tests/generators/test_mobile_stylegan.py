"""MobileStyleGAN in torch against the file as it was published, and by OpenVINO against torch."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.device import pick_device
from anonlab.errors import UnknownOption
from anonlab.generators import MobileStyleGAN, load_generator
from anonlab.generators.openvino_mobile import OpenVINOMobileStyleGAN
from anonlab.openvino_runtime import import_openvino
from anonlab.weights import store

TOLERANCE = 0.05 * 2 / 255  # a twentieth of a step of an 8-bit picture, in [-1, 1]


@pytest.fixture(scope="module")
def by_torch():
    return load_generator(backend="torch")


@pytest.fixture(scope="module")
def by_openvino():
    return load_generator()


@pytest.fixture(scope="module")
def reference():
    """OpenVINO at f32; its default on many CPUs is bf16."""
    core, exact = import_openvino().Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    folder = store.path_of("mobile-mapping").parent
    return (
        core.compile_model(folder / "MappingNetwork.xml", "CPU", exact),
        core.compile_model(folder / "SynthesisNetwork.xml", "CPU", exact),
    )


@pytest.mark.parametrize("seed", range(2))
def test_mapping_and_images_agree_with_openvino(by_torch, reference, seed):
    mapping, synthesis = reference
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        w = by_torch.mapping(z)
        image = by_torch.synthesis(by_torch.broadcast(w))
    assert image.shape == (1, 3, 1024, 1024)
    np.testing.assert_allclose(w.numpy(), mapping([z.numpy()])[0], atol=1e-4)
    np.testing.assert_allclose(image.numpy(), synthesis([w.numpy()])[0], atol=1e-3)


def test_smaller_pictures_are_means_of_the_large_one(by_torch):
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        ws = by_torch.broadcast(by_torch.mapping(z))
        full, half, preview = (by_torch.synthesis(ws, size) for size in (1024, 512, 256))
    torch.testing.assert_close(half, F.avg_pool2d(full, 2), atol=1e-5, rtol=0)
    # the preview is an approximation, and closer than the difference between two faces by far
    assert (preview - F.avg_pool2d(full, 4)).abs().mean() < 0.06


def test_every_row_of_ws_reaches_the_picture_at_every_size(by_torch):
    ws = mixed_codes(by_torch, 3, count=1).requires_grad_(True)
    for size in (512, 256):
        picture = by_torch.synthesis(ws, size)
        (gradient,) = torch.autograd.grad(picture.square().mean(), ws)
        assert (gradient.abs().amax(2) > 0).all(), size


def mixed_codes(generator, seed: int, count: int = 2) -> torch.Tensor:
    """W+ in which every row comes from another person."""
    z = torch.randn(count * 16, 512, generator=torch.Generator().manual_seed(seed))
    return generator.mapping(z).reshape(count, 16, 512)


@pytest.mark.parametrize("resolution", [256, 512, 1024])
def test_pictures_are_those_of_torch_row_by_row(by_torch, by_openvino, resolution):
    ws = mixed_codes(by_torch, resolution)
    with torch.no_grad():
        expected, found = (one.synthesis(ws, resolution) for one in (by_torch, by_openvino))
        assert found.shape == (2, 3, resolution, resolution) and found.dtype == torch.float32
        assert (found - expected).abs().max() < TOLERANCE
        # the tolerance tells codes apart that differ in one row by a thousandth
        ws[:, 9] *= 1.001
        assert (by_torch.synthesis(ws, resolution) - found).abs().max() > TOLERANCE


def test_same_codes_same_picture_whoever_else_is_in_the_batch(by_openvino):
    ws = mixed_codes(by_openvino, 2)
    with torch.no_grad():
        both = by_openvino.synthesis(ws, 256)
        assert torch.equal(both, load_generator().synthesis(ws, 256))
        assert torch.equal(both[1:], by_openvino.synthesis(ws[1:], 256))
        assert by_openvino.synthesis(ws[:0], 256).shape == (0, 3, 256, 256)


def test_gradients_are_those_of_torch(by_torch, by_openvino):
    ws = mixed_codes(by_torch, 3, count=1).requires_grad_(True)
    gradients = [
        torch.autograd.grad(one.synthesis(ws, 256).square().mean(), ws)[0]
        for one in (by_torch, by_openvino)
    ]
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0
    with torch.no_grad():  # nobody asks for a gradient here
        assert not torch.equal(by_openvino.synthesis(ws, 256), by_torch.synthesis(ws, 256))


@pytest.mark.parametrize("resolution", [256, 512])
def test_pictures_take_turns(by_torch, monkeypatch, resolution):
    """A network takes 350 or 700 MB: on two cores there is one, however many threads ask for it."""
    monkeypatch.setattr("anonlab.openvino_runtime.cores", lambda: 2)
    made = OpenVINOMobileStyleGAN()
    made.load_state_dict(by_torch.state_dict())
    parts, compiled = mixed_codes(by_torch, 9, 4).split(1), []
    model = made.networks.model
    made.networks.model = lambda drawn: compiled.append(drawn) or model(drawn)

    def make(ws):
        torch.set_num_threads(1)
        return made.synthesis(ws, resolution)

    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(make, parts))
    assert len(compiled) == 1
    assert all(torch.equal(one, make(ws)) for one, ws in zip(at_once, parts, strict=True))


def test_the_backend_is_chosen_by_device():
    assert isinstance(load_generator(), OpenVINOMobileStyleGAN)
    assert type(load_generator(backend="torch")) is MobileStyleGAN
    with pytest.raises(UnknownOption, match="auto, torch"):
        load_generator(backend="onnx")
    with pytest.raises(UnknownOption, match="auto, cpu, cuda"):
        pick_device("abacus")
    assert type(load_generator(device="meta")) is MobileStyleGAN


def test_openvino_does_not_report_home():
    code = """
import sys
from anonlab.openvino_runtime import import_openvino
import_openvino()
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__.endswith("telemetry_stub"), telemetry_utils.tm
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
