"""MobileStyleGAN by OpenVINO: the same pictures on a CPU in less than half the time.

The file that `random-face` ships takes one `w` for all layers and answers at 1024 only. Here the torch
module's weights are written down as an OpenVINO graph instead: one row of W+ for each layer, and the
preview as well. At f32, the default, pictures differ from torch's by at most 0.02/255; bf16, where the
CPU has it, is a third faster, 0.6/255 off on average and up to 67/255 in single pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..images import FACE_SIZE
from ..openvino_runtime import Networks, import_openvino
from .mobile_stylegan import Block, MobileStyleGAN, StyledConv, haar_matrix


class OpenVINOMobileStyleGAN(MobileStyleGAN):
    """`MobileStyleGAN` whose `synthesis` runs in OpenVINO when no gradient is asked for.

    With a gradient wanted, or with `ws` elsewhere than on the CPU, the inherited torch code answers.
    `precision` is `f32` or `bf16`. The weights are those at the first picture of a resolution. Not for
    `torch.func`. May be called from several threads.
    """

    backend = "openvino"

    def __init__(self, precision: str = "f32") -> None:
        super().__init__()
        self.precision = precision
        self.networks = Networks(lambda resolution: graph(self, resolution))  # 350 MB each, or 700

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
        drawn = FACE_SIZE if resolution <= FACE_SIZE else self.img_resolution
        with self.networks.acquire(drawn, self.precision) as network:
            for row, image in zip(ws.detach().float().contiguous(), images, strict=True):
                picture = torch.from_numpy(network([row[None].numpy()], share_outputs=True)[0])
                if drawn > resolution:
                    picture = F.avg_pool2d(picture, drawn // resolution)
                image.copy_(picture[0])
        return images


def graph(model: MobileStyleGAN, resolution: int) -> Any:
    """Write `model.synthesis` as an `openvino.Model`, `ws (1, 16, 512)` to `(1, 3, R, R)`."""
    ov = import_openvino()
    ops = ov.opset13

    def tensor(value: torch.Tensor) -> np.ndarray:
        return value.detach().cpu().float().contiguous().numpy()

    def row(index: int) -> Any:
        return ops.gather(ws, np.int64(index), np.int64(1))

    def linear(layer: nn.Linear, w: Any) -> Any:
        return ops.add(ops.matmul(w, tensor(layer.weight), False, True), tensor(layer.bias)[None])

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

    def styled(conv: StyledConv, x: Any, w: Any) -> Any:
        x = scaled(x, linear(conv.affine, w))
        if conv.depthwise is not None:
            kernels = tensor(conv.depthwise)[:, None]  # (groups, out, in, 3, 3)
            x = ops.group_convolution(x, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
        x = convolution(x, conv.weight, conv.bias, padding=int(conv.depthwise is None))
        return leaky(ops.add(x, tensor(conv.noise)))

    def haar(x: Any, bands: torch.Tensor) -> Any:
        """Apply `inverse_haar` by a matrix: taking bands apart is slow here."""
        return ops.depth_to_space(convolution(x, bands), "depth_first", 2)

    def doubled(block: Block, x: Any, w1: Any, w2: Any) -> Any:
        x = haar(scaled(x, linear(block.up, w1)), block.bands)
        return styled(block.conv2, styled(block.conv1, x, w1), w2)

    def preview(block: Block, x: Any, w1: Any, w2: Any) -> Any:
        """`MobileStyleGAN.preview_block`."""
        channels = block.up.out_features
        low_pass = torch.eye(channels)[: channels // 4, :, None, None] / 2
        x = convolution(scaled(x, linear(block.up, w1)), low_pass)
        for conv, w in ((block.conv1, w1), (block.conv2, w2)):
            assert conv.depthwise is not None  # of a block's convolutions
            gain = ops.multiply(linear(conv.affine, w), tensor(conv.depthwise.sum((1, 2, 3)))[None])
            x = leaky(convolution(scaled(x, gain), conv.weight, conv.bias + conv.noise.mean()))
        return x

    ws = ops.parameter([1, model.num_ws, model.w_dim], np.float32, name="ws")
    x = styled(model.conv1, ops.constant(tensor(model.const)), row(0))
    for i, block in enumerate(model.blocks[:-1]):
        x = doubled(block, x, row(2 * i + 1), row(2 * i + 2))
    last = doubled if resolution > FACE_SIZE else preview
    x = scaled(last(model.blocks[-1], x, row(13), row(14)), linear(model.to_rgb_affine, row(15)))
    if resolution > FACE_SIZE:
        bands = haar_matrix(model.to_rgb.out_channels)
        x = haar(convolution(x, model.to_rgb.weight, model.to_rgb.bias), bands)
    else:
        x = convolution(x, model.to_rgb.weight[:3] / 2, model.to_rgb.bias[:3] / 2)
    return ov.Model([x], [ws], f"MobileStyleGAN-{resolution}")
