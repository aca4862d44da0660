"""The torch port against OpenVINO, which runs the file as it was published."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.generators import load_generator
from anonlab.openvino_runtime import import_openvino
from anonlab.weights import store


@pytest.fixture(scope="module")
def generator():
    """Torch's own pictures: the default on a CPU is made by OpenVINO itself."""
    return load_generator(backend="torch")


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
def test_mapping_and_images_agree_with_openvino(generator, reference, seed):
    mapping, synthesis = reference
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        w = generator.mapping(z)
        image = generator.synthesis(generator.broadcast(w))
    assert image.shape == (1, 3, 1024, 1024)
    np.testing.assert_allclose(w.numpy(), mapping([z.numpy()])[0], atol=1e-4)
    np.testing.assert_allclose(image.numpy(), synthesis([w.numpy()])[0], atol=1e-3)


def test_smaller_pictures_are_means_of_the_large_one(generator):
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        ws = generator.broadcast(generator.mapping(z))
        full, half, preview = (generator.synthesis(ws, size) for size in (1024, 512, 256))
    torch.testing.assert_close(half, F.avg_pool2d(full, 2), atol=1e-5, rtol=0)
    # the preview is an approximation, and closer than the difference between two faces by far
    assert (preview - F.avg_pool2d(full, 4)).abs().mean() < 0.06


def test_every_row_of_ws_reaches_the_picture_at_every_size(generator):
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(3))
    ws = generator.broadcast(generator.mapping(z)).clone().requires_grad_(True)
    for size in (512, 256):
        picture = generator.synthesis(ws, size)
        (gradient,) = torch.autograd.grad(picture.square().mean(), ws)
        assert (gradient.abs().amax(2) > 0).all(), size
