"""StyleGAN2: its shapes, sizes, truncation and gradients (slow formulas: `test_stylegan2_files`)."""

import pytest
import stylegan2_reference as slow
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from anonlab.generators.base import truncated
from anonlab.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from anonlab.generators.stylegan2_files import load_stylegan2


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small(tmp_path) -> StyleGAN2:
    """A generator of 16 pixels."""
    save_file(slow.raw_tensors(16, [6, 5, 4]), tmp_path / "small.safetensors")
    return load_stylegan2(tmp_path / "small.safetensors")


def test_previews_are_means_of_the_native_picture():
    config = StyleGAN2Config(512, (4, 4, 4, 4, 3, 3, 2, 2), 8, 8, 2)
    torch.manual_seed(0)
    model = StyleGAN2(config).eval().requires_grad_(False)
    assert model.resolutions == (256, 512) and model.num_ws == 16
    ws = draw(1, 16, 8)
    preview, native = model.synthesis(ws, 256), model.synthesis(ws)
    assert preview.shape == (1, 3, 256, 256) and native.shape == (1, 3, 512, 512)
    assert torch.equal(preview, F.avg_pool2d(native, 2))
    model.to_rgbs[-1].bias += 1  # what the largest size adds is in the small picture too
    torch.testing.assert_close(model.synthesis(ws, 256), preview + 1)
    with pytest.raises(AssertionError, match="not one of"):
        model.synthesis(ws, 128)


@pytest.mark.parametrize(("size", "num_ws"), [(256, 14), (512, 16), (1024, 18)])
def test_the_official_shapes(size, num_ws):
    with torch.device("meta"):
        one, two = (StyleGAN2(StyleGAN2Config(size, slow.official_channels(size, m))) for m in (1, 2))
    assert one.num_ws == two.num_ws == num_ws
    assert two.resolutions == tuple(s for s in (256, 512, 1024) if s <= size)
    assert two.convs[-1].weight.shape[0] == 32768 // size == 2 * one.convs[-1].weight.shape[0]
    if size == 1024:  # what the official code prints for config F
        assert sum(p.numel() for p in two.parameters()) == 30_370_060


def test_truncation(small):
    z, model = draw(4, 16), small
    w = model.mapping(z)
    torch.testing.assert_close(model.mapping(z, 0.5), (w + model.w_avg) / 2)
    assert torch.equal(model.mapping(z, 0.0), model.w_avg.expand(4, -1))
    each = truncated(w, model.w_avg, torch.tensor([[1.0], [0.5], [0.0], [0.5]]))
    torch.testing.assert_close(each[1::2], model.mapping(z, 0.5)[1::2])
    torch.testing.assert_close(each[::2], torch.stack([w[0], model.w_avg]))


def test_gradients_are_those_of_finite_differences(small):
    model = small.double()
    ws = draw(1, 6, 16).double().requires_grad_(True)
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(model.synthesis, (ws,), fast_mode=True)
    assert torch.autograd.gradcheck(model.mapping, (draw(2, 16).double().requires_grad_(True),))
