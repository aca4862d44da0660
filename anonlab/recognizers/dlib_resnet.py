"""dlib's face recognition ResNet (King 2017), the embedded recogniser, in plain torch.

29 convolutions, 128 numbers a face, Euclidean distance, threshold 0.6, weights CC0. dlib stores
a network as packed integers and little-endian float tensors; `read_dlib` picks out the tensors.
The parity test compares embeddings with dlib itself.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import WeightsCorrupt
from ..weights import store
from .base import Metric, crop

# dlib's input layer: subtract these (RGB, 0–255), divide by 256.
CHANNEL_MEANS = (122.782, 117.001, 104.298)
# dlib cuts a chip of side 150 around five landmarks. In an FFHQ-aligned image the landmarks sit at
# fixed places, so the chip is a fixed box too (fitted on dlib's own chips, see the parity test).
CHIP_BOX = (78.9 - 2.392 / 2, 131.2 - 2.392 / 2, 78.9 + 2.392 * 149.5, 131.2 + 2.392 * 149.5)
# (channels, whether it halves the picture) of each block, input side first
BLOCKS = (
    *([(32, False)] * 3),
    *((64, True), *([(64, False)] * 3)),
    *((128, True), *([(128, False)] * 2)),
    *((256, True), *([(256, False)] * 2), (256, True)),
)


def convolution(in_channels: int, out_channels: int, size: int, stride: int) -> nn.Conv2d:
    """Make a convolution as dlib pads it: only with stride 1. Its weights hold dlib's `affine` layer (a
    batch norm frozen to scale and shift) as well."""
    return nn.Conv2d(in_channels, out_channels, size, stride, size // 2 * (stride == 1))


class Residual(nn.Module):
    """Two convolutions and a skip. dlib pads with zeros what is smaller, in channels or in pixels."""

    def __init__(self, in_channels: int, out_channels: int, down: bool):
        super().__init__()
        self.down = down
        self.first = convolution(in_channels, out_channels, 3, 2 if down else 1)
        self.second = convolution(out_channels, out_channels, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        return F.relu(x + y)


class DlibResNet(nn.Module):
    """The recogniser: see `anonlab.recognizers.base.Recognizer` for the contract."""

    name = "dlib"
    dim = 128
    metric: Metric = "euclidean"
    threshold = 0.6
    far = 0.0063  # measured on 19,800 pairs of 100 LFW people; dlib states 99.38 % accuracy there
    differentiable = True
    box = CHIP_BOX
    cam_layer = "blocks.9"  # 9×9, the finest stage that still knows people
    mean: torch.Tensor
    channel_means: torch.Tensor
    blocks: Any  # modules in a list have no type of their own

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 32, 7, 2)
        pairs = pairwise([(32, False), *BLOCKS])
        self.blocks = nn.Sequential(*(Residual(a, b, down) for (a, _), (b, down) in pairs))
        self.fc = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.zeros(128))
        self.register_buffer("channel_means", torch.tensor(CHANNEL_MEANS)[:, None, None])

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        """Embed chips `(N, 3, 150, 150)`, RGB in 0–255, to embeddings `(N, 128)`."""
        assert tuple(chips.shape[1:]) == (3, 150, 150), f"chips are {tuple(chips.shape)}"
        x = F.relu(self.stem((chips - self.channel_means) / 256))
        x = self.blocks(F.max_pool2d(x, 3, 2))
        return self.fc(x.mean((2, 3)))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embed FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, 128)`."""
        return self((crop(images, CHIP_BOX, 150) + 1) * 127.5)


def read_dlib(path: Path) -> dict[str, torch.Tensor]:
    """Translate `dlib_face_recognition_resnet_model_v1.dat` into this module's state dict.

    Raises `WeightsCorrupt` when the file does not hold exactly the 59 tensors of the network.
    """
    blob, position = path.read_bytes(), 0

    def take(*shape: int) -> torch.Tensor:
        """Take the next tensor of dlib's `shape`: version 2, four packed sizes, then float32 values.

        A packed integer is one byte that counts the bytes that follow, least significant first.
        """
        nonlocal position
        header = b"\x01\x02"
        for size in shape:
            digits = size.to_bytes((size.bit_length() + 7) // 8, "little")
            header += bytes([len(digits)]) + digits
        at, count = blob.find(header, position) + len(header), math.prod(shape)
        position = at + 4 * count
        if at < len(header) or position > len(blob):
            raise WeightsCorrupt(f"{path} does not hold a tensor of shape {shape} where dlib's has one")
        return torch.from_numpy(np.frombuffer(blob, "<f4", count, at).copy())

    state: dict[str, torch.Tensor] = {}
    for name, layer in DlibResNet().named_modules():
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight
            values = take(weight.numel() + len(weight), 1, 1, 1)
            gamma, beta = take(2 * len(weight), 1, 1, 1).chunk(2)
            scaled = values[: weight.numel()].view_as(weight) * gamma[:, None, None, None]
            state[f"{name}.weight"] = scaled
            state[f"{name}.bias"] = values[weight.numel() :] * gamma + beta
    state["fc.weight"] = take(256, 128, 1, 1).view(256, 128).T.contiguous()
    return state


def load_dlib() -> DlibResNet:
    """Load the pretrained network, frozen, on the CPU, its `mean` still zero."""
    model, key = DlibResNet(), "dlib-resnet"
    state = store.converted("dlib-resnet-folded", [key], lambda: read_dlib(store.path_of(key)))
    model.load_state_dict(state, strict=False)  # but for `mean` and `channel_means`, which are ours
    # in this layout a face takes a fifth less time on a CPU, its gradient a tenth
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
