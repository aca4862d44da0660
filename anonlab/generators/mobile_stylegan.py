"""MobileStyleGAN (Belousov 2021, arXiv:2104.04767), the embedded generator, in plain torch.

The weights are those that the package `random-face` ships as an OpenVINO model: StyleGAN2 FFHQ,
1024 px, distilled into depthwise separable convolutions that build the picture up by inverse
Haar wavelets. Written from the paper and from the graph of that file; the parity test compares
every output with OpenVINO.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..openvino_runtime import import_openvino
from .base import Generator

CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64)  # of the features at 4, 8, 16 … 512 px


def inverse_haar(x: torch.Tensor) -> torch.Tensor:
    """Apply one level of the inverse Haar wavelet transform: `(N, 4C, H, W)` to `(N, C, 2H, 2W)`.

    The first C channels are the low-pass band; the others come in triples (vertical, horizontal,
    diagonal detail) for each of the C outputs.
    """
    n, c4, h, w = x.shape
    c = c4 // 4
    low = x[:, :c]
    vertical, horizontal, diagonal = x[:, c:].reshape(n, c, 3, h, w).unbind(2)
    top, bottom = low + vertical, low - vertical
    slope_top, slope_bottom = horizontal + diagonal, horizontal - diagonal
    corners = (top + slope_top, top - slope_top, bottom + slope_bottom, bottom - slope_bottom)
    return F.pixel_shuffle(torch.stack(corners, 2).reshape(n, 4 * c, h, w), 2) / 2


def haar_matrix(channels: int) -> torch.Tensor:
    """Express `inverse_haar` of 4C `channels` as the weight `(4C, 4C, 1, 1)` of a convolution."""
    bands = torch.eye(channels)[:, :, None, None]
    return F.pixel_unshuffle(inverse_haar(bands), 2).transpose(0, 1).contiguous()


class StyledConv(nn.Module):
    """Scale the input channels by a style, convolve, add fixed noise and bias, leaky ReLU.

    Demodulation and equalised learning rates are folded into the stored weights.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, depthwise: bool = True):
        super().__init__()
        self.affine = nn.Linear(512, in_channels)
        kernels = torch.empty(in_channels, 1, 3, 3)
        self.depthwise = nn.Parameter(kernels) if depthwise else None
        side = 1 if depthwise else 3
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, side, side))
        self.noise = nn.Parameter(torch.empty(1, 1, size, size))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x = x * self.affine(w)[:, :, None, None]
        if self.depthwise is None:
            x = F.conv2d(x, self.weight, self.bias, padding=1)
        else:
            x = F.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
            x = F.conv2d(x, self.weight, self.bias)
        return F.leaky_relu(x + self.noise, 0.2)


class Block(nn.Module):
    """Double the resolution by an inverse wavelet, then two styled convolutions."""

    bands: torch.Tensor

    def __init__(self, in_channels: int, out_channels: int, size: int):
        super().__init__()
        self.up = nn.Linear(512, in_channels)
        self.conv1 = StyledConv(in_channels // 4, out_channels, size)
        self.conv2 = StyledConv(out_channels, out_channels, size)
        # as a convolution, a fifth of a gradient's time less than `inverse_haar` itself
        self.register_buffer("bands", haar_matrix(in_channels), persistent=False)

    def forward(self, x: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
        x = F.pixel_shuffle(F.conv2d(x * self.up(w1)[:, :, None, None], self.bands), 2)
        return self.conv2(self.conv1(x, w1), w2)


class MobileStyleGAN(Generator):
    """The generator: see `anonlab.generators.base.Generator` for the contract.

    Of the original 23 style slots only 16 reach the picture, hence `num_ws = 16`: the first
    convolution, two for each of seven blocks, and the last to-RGB layer.
    `synthesis` answers at 1024 (all of the network), 512 (exactly the 2×2 mean of 1024, because
    the last layer is a wavelet) or 256, a preview in 0.4 of the time: the last block, which works
    at 512, is run on the low-pass band alone, within 0.03 (mean absolute) of the 4×4 mean of 1024.
    """

    name = "mobile"
    img_resolution = 1024
    resolutions = (256, 512, 1024)
    blocks: Any  # modules in a list have no type of their own
    to_rgb: Any

    def __init__(self) -> None:
        super().__init__(num_ws=16)
        self.const = nn.Parameter(torch.empty(1, 512, 4, 4))
        self.conv1 = StyledConv(512, 512, 4, depthwise=False)
        self.blocks = nn.ModuleList(Block(CHANNELS[i], CHANNELS[i + 1], 8 * 2**i) for i in range(7))
        self.to_rgb_affine = nn.Linear(512, 64)
        self.to_rgb = nn.Conv2d(64, 12, 1)

    def synthesis(self, ws: torch.Tensor, resolution: int | None = None) -> torch.Tensor:
        """Draw `ws (N, 16, 512)` as images `(N, 3, R, R)`, R one of `resolutions` (default 1024)."""
        resolution = self._checked(ws, resolution)
        x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0])
        for i, block in enumerate(self.blocks[:-1]):
            x = block(x, ws[:, 2 * i + 1], ws[:, 2 * i + 2])
        last = self.blocks[-1] if resolution > 256 else self.preview_block
        x = last(x, ws[:, 13], ws[:, 14]) * self.to_rgb_affine(ws[:, 15])[:, :, None, None]
        if resolution == self.img_resolution:
            return inverse_haar(self.to_rgb(x))
        return F.conv2d(x, self.to_rgb.weight[:3], self.to_rgb.bias[:3]) / 2

    def preview_block(self, x: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
        """Run the last block at 256 instead of 512: `(N, 128, 256, 256)` to `(N, 64, 256, 256)`.

        Smooth features are what survives averaging, and a depthwise kernel does to them what the
        sum of its weights does.
        """
        block = self.blocks[-1]
        x = (x * block.up(w1)[:, :, None, None])[:, :32] / 2
        for conv, w in ((block.conv1, w1), (block.conv2, w2)):
            gain = conv.affine(w) * conv.depthwise.sum((1, 2, 3))
            x = F.conv2d(x * gain[:, :, None, None], conv.weight, conv.bias + conv.noise.mean())
            x = F.leaky_relu(x, 0.2)
        return x


def read_openvino(folder: Path) -> dict[str, torch.Tensor]:
    """Translate the OpenVINO files of `random-face` into this module's state dict.

    `folder` holds `MappingNetwork.xml/.bin` and `SynthesisNetwork.xml/.bin`. Adds `w_avg` and
    `w_std`, measured on 65,536 draws with a fixed seed.
    """
    core = import_openvino().Core()
    mapping = core.read_model(folder / "MappingNetwork.xml")
    synthesis = core.read_model(folder / "SynthesisNetwork.xml")
    state: dict[str, torch.Tensor] = {}

    # Mapping weights have no names; they come in graph order, a matrix and a bias each.
    constants = [op.data for op in mapping.get_ordered_ops() if op.get_type_name() == "Constant"]
    weights = [torch.from_numpy(c.copy()) for c in constants if c.size >= 512]
    for i in range(8):
        state[f"mapping_layers.{i}.weight"] = weights[2 * i]
        state[f"mapping_layers.{i}.bias"] = weights[2 * i + 1].flatten()

    ops = {op.get_friendly_name(): op for op in synthesis.get_ordered_ops()}

    def constant(name: str) -> torch.Tensor:
        return torch.from_numpy(ops[name].data.copy())

    def user(op, kind: str):
        nodes = (port.get_node() for port in op.output(0).get_target_inputs())
        return next(node for node in nodes if node.get_type_name() == kind)

    def other_constant(op) -> torch.Tensor:
        nodes = (port.get_source_output().get_node() for port in op.inputs())
        return torch.from_numpy(next(n for n in nodes if n.get_type_name() == "Constant").data.copy())

    def affine(theirs: str, ours: str, scaled: bool) -> None:
        """Translate a style's linear layer, with the equalised-learning-rate factor that follows it."""
        weight, bias = constant(f"{theirs}.weight"), constant(f"{theirs}.bias").flatten()
        factor = torch.ones(())
        if scaled:
            add = user(user(ops[f"{theirs}.weight"], "MatMul"), "Add")
            factor = other_constant(user(user(add, "Reshape"), "Multiply")).flatten()
        state[f"{ours}.weight"], state[f"{ours}.bias"] = weight * factor, bias * factor

    def styled_conv(theirs: str, ours: str, convolution) -> None:
        affine(f"{theirs}.conv.modulation", f"{ours}.affine", scaled=True)
        state[f"{ours}.weight"] = other_constant(convolution)
        state[f"{ours}.noise"] = other_constant(user(convolution, "Add"))
        state[f"{ours}.bias"] = constant(f"{theirs}.bias").flatten()

    state["const"] = constant("m.input.input")
    first = next(op for op in ops.values() if op.get_type_name() == "Convolution")
    styled_conv("m.conv1", "conv1", first)
    for i in range(7):
        theirs, ours = f"m.layers.{i}", f"blocks.{i}"
        affine(f"{theirs}.up.modulation", f"{ours}.up", scaled=False)
        for conv in ("conv1", "conv2"):
            depthwise = f"{theirs}.{conv}.conv.weight_dw"
            state[f"{ours}.{conv}.depthwise"] = constant(depthwise).squeeze(2)
            pointwise = user(user(ops[depthwise], "GroupConvolution"), "Convolution")
            styled_conv(f"{theirs}.{conv}", f"{ours}.{conv}", pointwise)
    affine("m.layers.6.to_img.conv.modulation", "to_rgb_affine", scaled=True)
    state["to_rgb.weight"] = constant("m.layers.6.to_img.conv.weight")
    state["to_rgb.bias"] = constant("m.layers.6.to_img.bias").flatten()

    model = MobileStyleGAN()
    model.load_state_dict(state, strict=False)
    return state | dict(zip(("w_avg", "w_std"), model.statistics(65536), strict=True))
