"""TensorFlow.js networks by OpenVINO."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import torch

from ..openvino_runtime import compiled, import_openvino
from .packages import find


def read_weights(manifest: list[dict], content: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of TensorFlow.js's `weightsManifest`, dequantized, in its own layout."""
    arrays, at = {}, 0
    for one in (weight for group in manifest for weight in group["weights"]):
        packed = one.get("quantization", {})
        dtype = np.dtype(packed.get("dtype", one["dtype"]))
        count = int(np.prod(one["shape"]))
        values = np.frombuffer(content, dtype, count, at).reshape(one["shape"])
        at += count * dtype.itemsize
        if "scale" in packed:
            values = values.astype(np.float32) * packed["scale"] + packed["min"]
        arrays[one["name"]] = values.astype(one["dtype"])
    return arrays


class TensorFlowJs:
    """Run a graph of the judges' packages, `NAME.json` and `NAME.bin`, for pictures of `channels` and
    `side`, in float32 and without gradients.

    `names` are the nodes whose values are returned, by default the graph's outputs. Pictures are
    channels first; dense layers follow a mean or a maximum over the picture, so no layout has to be
    undone. Raises `WeightsMissing`, `WeightsCorrupt`, or `KeyError` for an operation that no graph here
    has.
    """

    def __init__(self, name: str, channels: int, side: int, *names: str):
        ov = import_openvino()
        graph = json.loads(find(f"{name}.json").read_text())
        self.weights = read_weights(graph["weightsManifest"], find(f"{name}.bin").read_bytes())
        nodes = {one["name"]: one for one in graph["modelTopology"]["node"]}
        given = {key: [x.split(":")[0] for x in one.get("input", [])] for key, one in nodes.items()}
        used = {one for every in given.values() for one in every}
        self.names = [*names] or [one for one in nodes if one not in used]
        picture = ov.opset13.parameter([1, channels, side, side], np.float32)
        operations = _operations(ov.opset13)
        values: dict[str, Any] = {}
        for key in TopologicalSorter(given).static_order():  # a graph's file does not promise it
            op, attributes = nodes[key]["op"], nodes[key].get("attr", {})
            if op in ("Placeholder", "Const"):
                values[key] = picture if op == "Placeholder" else self.weights[key]
                continue
            x, *others = (values[one] for one in given[key])
            values[key] = operations[op.removeprefix("_Fused")](x, *others[:1], attributes)
            for code in attributes.get("fused_ops", {}).get("list", {}).get("s", []):
                fused = base64.b64decode(code).decode()
                values[key] = operations[fused](values[key], *others[1:], attributes)
        model = ov.Model([values[one] for one in self.names], [picture])
        self.model = compiled(model, torch.get_num_threads())

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the nodes' values for `images (N, channels, side, side)` by name."""
        rows = [self.model(image[None].numpy()) for image in images]
        return {
            name: torch.from_numpy(np.concatenate([row[number] for row in rows]))
            for number, name in enumerate(self.names)
        }


def _operations(ops: Any) -> dict[str, Callable]:
    """Return TensorFlow's operations in OpenVINO's, each of operands and attributes."""

    def pair(attributes: dict, name: str = "strides") -> list[int]:
        return [int(one) for one in attributes[name]["list"]["i"]][1:3]

    def padding(attributes: dict) -> str:
        same = base64.b64decode(attributes["padding"]["s"]) == b"SAME"
        return "same_upper" if same else "valid"

    def places(attributes: dict) -> tuple:  # where filters look
        return pair(attributes), [0, 0], [0, 0], [1, 1], padding(attributes)

    def pool(x: Any, given: dict) -> Any:
        zero, size = [0, 0], pair(given, "ksize")
        return ops.max_pool(x, pair(given), [1, 1], zero, zero, size, auto_pad=padding(given)).output(0)

    def by_channel(operation: Callable) -> Callable:
        def run(x: Any, y: Any, _: dict) -> Any:  # a second operand of one axis is of the channels
            of_picture = len(x.shape) == 4 and len(y.shape) == 1
            return operation(x, y[:, None, None] if of_picture else y)

        return run

    add = by_channel(ops.add)
    return {
        "Conv2D": lambda x, y, a: ops.convolution(x, y.transpose(3, 2, 0, 1), *places(a)),
        "DepthwiseConv2dNative": lambda x, y, a: ops.group_convolution(
            x, y.transpose(2, 3, 0, 1)[:, :, None], *places(a)
        ),
        "MatMul": lambda x, y, _: ops.matmul(x, y, False, False),
        "MaxPool": pool, "Add": add, "AddV2": add, "BiasAdd": add, "Mul": by_channel(ops.multiply),
        "Minimum": by_channel(ops.minimum), "Maximum": by_channel(ops.maximum),
        "Relu": lambda x, *_: ops.relu(x), "Sigmoid": lambda x, _: ops.sigmoid(x),
        "Softmax": lambda x, _: ops.softmax(x, -1), "Identity": lambda x, _: x,
        "Mean": lambda x, *_: ops.reduce_mean(x, [2, 3]), "Max": lambda x, *_: ops.reduce_max(x, [2, 3]),
    }  # fmt: skip
