"""Two judges' networks by their own sources: face-api's expression, and where BlazeFace looks."""

from __future__ import annotations

import json
from functools import cache

import torch
import torch.nn.functional as F

from ...metrics.packages import find
from ...metrics.tensorflow_js import read_weights

MEAN = (122.782, 117.001, 104.298)  # of face-api's pixels


class FaceApiExpression:
    """Run face-api's expression network (MIT): `(N, 3, 112, 112)` in 0–255 to logits `(N, 7)` of
    neutral, happy, sad, angry, fearful, disgusted and surprised.

    Raises `WeightsMissing` or `WeightsCorrupt`.
    """

    def __init__(self) -> None:
        manifest = json.loads(find("face_expression_model-weights_manifest.json").read_text())
        arrays = read_weights(manifest, find("face_expression_model.bin").read_bytes())
        self.weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, 7)`."""
        x = (images - torch.tensor(MEAN)[:, None, None]) / 255
        for block in range(4):
            total = x = self._convolution(x, f"dense{block}/conv0", 2).relu()
            for layer in (1, 2, 3):
                total = total + self._convolution(x, f"dense{block}/conv{layer}", 1)
                x = total.relu()
        return x.mean((2, 3)) @ self.weights["fc/weights"] + self.weights["fc/bias"]

    def _convolution(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))  # SAME, of even sides
        bias, filters = self.weights[f"{name}/bias"], self.weights.get(f"{name}/filters")
        if filters is not None:
            return F.conv2d(x, filters.permute(3, 2, 0, 1), bias, stride)
        depthwise = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        x = F.conv2d(x, depthwise, None, stride, groups=x.shape[1])
        return F.conv2d(x, self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1), bias)


@cache
def blazeface_anchors() -> torch.Tensor:
    """Place BlazeFace's anchors `(896, 2)` in [0, 1]: 2 a cell of 16 pixels of 256, 6 a cell of 32."""
    rows = []
    for cells, count in ((16, 2), (8, 6)):
        at = (torch.arange(cells) + 0.5) / cells
        centres = torch.cartesian_prod(at, at).flip(1)  # (cells², 2), x first, row by row
        rows.append(centres.repeat_interleave(count, 0))
    return torch.cat(rows)
