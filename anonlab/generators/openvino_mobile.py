"""MobileStyleGAN by OpenVINO: the same pictures on a CPU in less than a third of the time.

The file that `random-face` ships takes one `w` for all layers and answers at 1024 only. Here the torch
module's weights are written down as an OpenVINO graph instead: one row of W+ for each layer, and the
preview as well. At f32, the default, pictures differ from torch's by at most 0.02/255; bf16, where the
CPU has it, takes about half the time, 0.6/255 off on average and up to 73/255 in single pixels.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..images import FACE_SIZE
from ..openvino_runtime import Networks, cpu_precisions, import_openvino
from .mobile_stylegan import Block, MobileStyleGAN, StyledConv, haar_matrix

GROUP = 16  # channels that a wavelet's convolution mixes at a time: as many as a CPU's vector holds


class OpenVINOMobileStyleGAN(MobileStyleGAN):
    """`MobileStyleGAN` whose `synthesis` runs in OpenVINO when no gradient is asked for.

    With a gradient wanted, or with `ws` elsewhere than on the CPU, the inherited torch code answers.
    `precision` is `f32` or `bf16`. The weights are those at the first picture of a resolution. Not for
    `torch.func`. May be called from several threads.
    """

    precision = "f32"

    def __init__(self) -> None:
        super().__init__()
        self.networks = Networks(lambda resolution: graph(self, resolution))  # 350 to 700 MB each

    def synthesis(self, ws: torch.Tensor, resolution: int | None = None) -> torch.Tensor:
        """Draw `ws (N, 16, 512)` as `(N, 3, R, R)`, like `MobileStyleGAN.synthesis`.

        Every picture is made alone: it does not depend on the others of its batch, and memory does
        not grow with N.
        """
        wants_gradient = torch.is_grad_enabled() and ws.requires_grad
        if wants_gradient or ws.device.type != "cpu":
            return super().synthesis(ws, resolution)
        resolution = self._checked(ws, resolution)
        images = torch.empty(len(ws), 3, resolution, resolution)
        with self.networks.acquire(resolution, self.precision) as network:
            for row, image in zip(ws.detach().float().contiguous(), images, strict=True):
                picture = network([row[None].numpy()], share_outputs=True)[0]
                image.copy_(torch.from_numpy(picture[0]))
        return images

    def rough(self) -> OpenVINOMobileStyleGAN:
        """Return the same generator in bf16, where the CPU has it: a tenth of a level of 255 off on
        average in a finished photo or frame, in half the time."""
        if "bf16" not in cpu_precisions():
            return self
        other = copy.copy(self)
        other.precision = "bf16"
        return other


def graph(model: MobileStyleGAN, resolution: int) -> Any:
    """Write `model.synthesis` as an `openvino.Model`, `ws (1, 16, 512)` to `(1, 3, R, R)`."""
    ov = import_openvino()
    ops = ov.opset13

    def tensor(value: torch.Tensor) -> np.ndarray:
        return value.detach().cpu().float().contiguous().numpy()

    def row(index: int) -> Any:
        return ops.gather(ws, np.int64(index), np.int64(1))

    def linear(layer: nn.Linear, w: Any, order: Any = slice(None)) -> Any:
        """Run a linear layer; of its outputs those in `order`."""
        weight, bias = tensor(layer.weight[order]), tensor(layer.bias[order])
        return ops.add(ops.matmul(w, weight, False, True), bias[None])

    def scaled(x: Any, gain: Any) -> Any:
        """Multiply the channels of `x (1, C, H, W)` by `gain (1, C)`."""
        return ops.multiply(x, ops.unsqueeze(gain, np.array([2, 3])))

    def convolution(
        x: Any, weight: torch.Tensor, bias: torch.Tensor | None = None, padding: int = 0
    ) -> Any:
        strides, pads = [1, 1], [padding, padding]
        x = ops.convolution(x, tensor(weight), strides, pads, pads, strides)
        return x if bias is None else ops.add(x, tensor(bias).reshape(1, -1, 1, 1))

    def leaky(x: Any) -> Any:
        return ops.prelu(x, np.array([0.2], np.float32))

    def styled(conv: StyledConv, x: Any, w: Any, order: Any = slice(None)) -> Any:
        """Run a styled convolution; of its outputs those in `order`."""
        x = scaled(x, linear(conv.affine, w))
        if conv.depthwise is not None:
            kernels = tensor(conv.depthwise)[:, None]  # (groups, out, in, 3, 3)
            x = ops.group_convolution(x, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
        x = convolution(x, conv.weight[order], conv.bias[order], int(conv.depthwise is None))
        return leaky(ops.add(x, tensor(conv.noise)))

    def doubled(block: Block, x: Any, w1: Any, w2: Any, order: Any = slice(None)) -> Any:
        """Run a block on channels in the order of `by_place`, for outputs in `order`."""
        channels = block.up.out_features
        x = scaled(x, linear(block.up, w1, by_place(channels)))
        bands = tensor(haar_matrix(GROUP)[:, by_place(GROUP)])[None].repeat(channels // GROUP, 0)
        x = ops.group_convolution(x, bands, [1, 1], [0, 0], [0, 0], [1, 1])
        x = ops.depth_to_space(x, "depth_first", 2)
        return styled(block.conv2, styled(block.conv1, x, w1), w2, order)

    def preview(block: Block, x: Any, w1: Any, w2: Any) -> Any:
        """Run `MobileStyleGAN.preview_block` on channels that are the low-pass band."""
        x = scaled(x, ops.multiply(linear(block.up, w1, low_pass), np.float32(0.5)))
        for conv, w in ((block.conv1, w1), (block.conv2, w2)):
            assert conv.depthwise is not None  # of a block's convolutions
            gain = ops.multiply(linear(conv.affine, w), tensor(conv.depthwise.sum((1, 2, 3)))[None])
            x = leaky(convolution(scaled(x, gain), conv.weight, conv.bias + conv.noise.mean()))
        return x

    ws = ops.parameter([1, model.num_ws, model.w_dim], np.float32, name="ws")
    orders: list[Any] = [by_place(block.up.out_features) for block in model.blocks]
    last, low_pass = model.blocks[-1], slice(model.blocks[-1].up.out_features // 4)
    if resolution <= FACE_SIZE:
        orders[-1] = low_pass  # nothing else is asked of the last block but one
    x = styled(model.conv1, ops.constant(tensor(model.const)), row(0), orders[0])
    for i, (block, order) in enumerate(zip(model.blocks[:-1], orders[1:], strict=True)):
        x = doubled(block, x, row(2 * i + 1), row(2 * i + 2), order)
    x = (doubled if resolution > FACE_SIZE else preview)(last, x, row(13), row(14))
    x = scaled(x, linear(model.to_rgb_affine, row(15)))
    weight, bias = model.to_rgb.weight, model.to_rgb.bias
    if resolution == model.img_resolution:
        bands = haar_matrix(len(bias))
        weight = F.conv2d(weight.transpose(0, 1), bands).transpose(0, 1)
        x = convolution(x, weight, bands[:, :, 0, 0] @ bias)
        x = ops.depth_to_space(x, "depth_first", 2)
    else:
        x = convolution(x, weight[:3] / 2, bias[:3] / 2)
    return ov.Model([x], [ws], f"MobileStyleGAN-{resolution}")


def by_place(channels: int) -> torch.Tensor:
    """Order the wavelet bands of 4C `channels`, `(4C,)`, so that those of one output stand together:
    the low-pass one and its triple. A grouped convolution does then what `inverse_haar` does."""
    low = torch.arange(channels // 4)[:, None]
    return torch.cat([low, channels // 4 + 3 * low + torch.arange(3)], 1).flatten()
