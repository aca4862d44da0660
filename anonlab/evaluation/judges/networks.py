"""Two judges' networks by their own sources: face-api's expression, and where BlazeFace looks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from ...metrics.tensorflow_js import read_weights


class FaceApiExpression:
    """Run face-api's expression network (MIT), by its own source: `(N, 3, 112, 112)` in 0–255 to logits
    `(N, 7)` of neutral, happy, sad, angry, fearful, disgusted and surprised."""

    def __init__(self, manifest: Path, weights: Path):
        tensors = read_weights(json.loads(manifest.read_text()), weights.read_bytes())
        self.weights = {
            name: value.permute(2, 3, 0, 1) if "depthwise" in name
            else value.permute(3, 2, 0, 1) if value.ndim == 4 else value
            for name, value in tensors.items()
        }  # fmt: skip

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, 7)`."""
        x = (images - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 255
        for block in range(4):
            first = self._conv(x, f"dense{block}/conv0", 2).relu()
            total, x = first, first
            for layer in (1, 2, 3):
                total = total + self._conv(x, f"dense{block}/conv{layer}", 1)
                x = total.relu()
        return x.mean((2, 3)) @ self.weights["fc/weights"] + self.weights["fc/bias"]

    def _conv(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        pad = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)  # SAME, of even sides
        x, bias = F.pad(x, pad), self.weights[f"{name}/bias"]
        if f"{name}/filters" in self.weights:
            return F.conv2d(x, self.weights[f"{name}/filters"], bias, stride)
        depthwise = self.weights[f"{name}/depthwise_filter"]
        x = F.conv2d(x, depthwise, None, stride, groups=x.shape[1])
        return F.conv2d(x, self.weights[f"{name}/pointwise_filter"], bias)


@cache
def blazeface_anchors() -> torch.Tensor:
    """Place BlazeFace's anchors `(896, 2)` in [0, 1]: 2 a cell of 16 pixels of 256, 6 a cell of 32."""
    rows = []
    for stride, count in ((16, 2), (32, 6)):
        cells = (torch.arange(256 // stride) + 0.5) * stride / 256
        y, x = torch.meshgrid(cells, cells, indexing="ij")
        centres = torch.stack([x, y], -1).reshape(-1, 2)
        rows.append(centres.repeat_interleave(count, 0))
    return torch.cat(rows)
