"""TensorFlow.js networks in torch, and by OpenVINO, which is several times as fast."""

from __future__ import annotations

import base64
import copy
import json
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..openvino_runtime import compiled, import_openvino
from .packages import find


def read_weights(manifest: list[dict], content: bytes) -> dict[str, torch.Tensor]:
    """Read the tensors of TensorFlow.js's `weightsManifest`, dequantized, in its own layout."""
    tensors, at = {}, 0
    for one in (weight for group in manifest for weight in group["weights"]):
        packed = one.get("quantization", {})
        dtype = np.dtype(packed.get("dtype", one["dtype"]))
        count = int(np.prod(one["shape"]))
        values = np.frombuffer(content, dtype, count, at).reshape(one["shape"])
        at += count * dtype.itemsize
        if "scale" in packed:
            values = values.astype(np.float32) * packed["scale"] + packed["min"]
        if one["dtype"] == "float32":
            values = values.astype(np.float32)
        tensors[one["name"]] = torch.from_numpy(values.copy())
    return tensors


class Tfjs(nn.Module):
    """Run a TensorFlow.js graph `NAME.json` and `NAME.bin` in torch.

    `forward((N, C, S, S))` returns the outputs, or the values of the nodes that are asked for, by name.
    Pictures inside are channels first; dense layers follow a mean or a maximum over the picture, so no
    layout has to be undone. Raises `NotImplementedError` for an operation that no graph here has.
    """

    def __init__(self, path: Path):
        super().__init__()
        graph = json.loads(path.read_text())
        content = path.with_suffix(".bin").read_bytes()
        self.weights = read_weights(graph["weightsManifest"], content)
        self.nodes = [one for one in graph["modelTopology"]["node"] if one["op"] != "Const"]
        self.input = next(one["name"] for one in self.nodes if one["op"] == "Placeholder")
        used = {_name(given) for one in self.nodes for given in one.get("input", [])}
        self.outputs = [one["name"] for one in self.nodes if one["name"] not in used]
        for node in self.nodes:  # filters (h, w, in, out) to (out, in, h, w), once
            if "Conv2D" in node["op"]:
                self.weights[node["input"][1]] = self.weights[node["input"][1]].permute(3, 2, 0, 1)
            if "Depthwise" in node["op"]:
                kernel = self.weights[node["input"][1]].permute(2, 3, 0, 1)
                self.weights[node["input"][1]] = kernel.reshape(-1, 1, *kernel.shape[2:])
        by_name = {one["name"]: one for one in self.nodes}
        needs = {name: [*map(_name, one.get("input", []))] for name, one in by_name.items()}
        order = TopologicalSorter(needs).static_order()  # a graph's file does not promise it
        self.nodes = [by_name[name] for name in order if name in by_name]

    def forward(self, images: torch.Tensor, *names: str) -> dict[str, torch.Tensor]:
        """Return every output of the graph, or the nodes of these names."""
        values: dict[str, torch.Tensor] = {**self.weights, self.input: images}
        for node in self.nodes:
            if node["name"] != self.input:
                given = [values[_name(one)] for one in node["input"]]
                values[node["name"]] = _run(node, given)
        return {name: values[name] for name in names or self.outputs}


def tfjs(name: str) -> Tfjs:
    """Load a network of the packages by its name. Raises `WeightsMissing` or `WeightsCorrupt`."""
    find(f"{name}.bin")
    return Tfjs(find(f"{name}.json"))


class Compiled:
    """Run a graph for pictures `(N, channels, side, side)` by OpenVINO in float32, without gradients and
    in a quarter of the time. Called as `Tfjs` is; gives all its outputs, or the nodes `names`."""

    def __init__(self, network: Tfjs, channels: int, side: int, *names: str):
        network = copy.copy(network)
        self.names = network.outputs = [*names] or network.outputs
        graph = torch.export.export(network.eval(), (torch.zeros(1, channels, side, side),))
        self.model = compiled(import_openvino().convert_model(graph), torch.get_num_threads())

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the nodes' values by name."""
        rows = [self.model(image[None].numpy()) for image in images]
        return {
            name: torch.from_numpy(np.concatenate([row[number] for row in rows]))
            for number, name in enumerate(self.names)
        }


def _name(given: str) -> str:
    return given.split(":")[0]


SIMPLE = {
    "Add": torch.add, "AddV2": torch.add, "Mul": torch.mul, "Sub": torch.sub, "Minimum": torch.minimum,
    "Maximum": torch.maximum, "Relu": torch.relu, "Sigmoid": torch.sigmoid,
    "Identity": lambda x: x, "Softmax": lambda x: x.softmax(-1),
    "Mean": lambda x, *_: x.mean((2, 3)), "Max": lambda x, *_: x.amax((2, 3)),
}  # fmt: skip


def _run(node: dict, given: list[torch.Tensor]) -> torch.Tensor:
    """Run one node of a TensorFlow.js graph."""
    op, attributes = node["op"].removeprefix("_"), node.get("attr", {})
    x = given[0]
    if op.removeprefix("Fused") in ("Conv2D", "DepthwiseConv2dNative"):
        groups = x.shape[1] if "Depthwise" in op else 1
        strides = _strides(attributes)
        x = F.conv2d(
            _pad(x, given[1].shape[2:], strides, attributes), given[1], None, strides, 0, 1, groups
        )
        return _fused(x, given[2:], attributes)
    if op in ("FusedMatMul", "MatMul"):
        return _fused(x @ given[1], given[2:], attributes)
    if op in SIMPLE:  # a second operand of one axis is of the channels
        return SIMPLE[op](
            x, *(y[:, None, None] if x.ndim == 4 and y.ndim == 1 else y for y in given[1:])
        )
    if op == "MaxPool":
        size = [int(one) for one in attributes["ksize"]["list"]["i"]][1:3]
        strides = _strides(attributes)
        return F.max_pool2d(_pad(x, size, strides, attributes, -torch.inf), size, strides)
    raise NotImplementedError(f"operation {node['op']} ({node['name']})")


def _fused(x: torch.Tensor, given: list[torch.Tensor], attributes: dict) -> torch.Tensor:
    for code in attributes.get("fused_ops", {}).get("list", {}).get("s", []):
        name = base64.b64decode(code).decode()
        if name == "BiasAdd":
            x = x + (given[0][:, None, None] if x.ndim == 4 else given[0])
        elif name in ("Relu", "Relu6"):
            x = x.clamp(0, 6) if name == "Relu6" else x.relu()
        else:
            raise NotImplementedError(f"fused operation {name}")
    return x


def _strides(attributes: dict) -> list[int]:
    return [int(one) for one in attributes["strides"]["list"]["i"]][1:3]


def _pad(x: torch.Tensor, size, strides, attributes: dict, value: float = 0.0) -> torch.Tensor:
    """Pad as TensorFlow's SAME: the larger half after."""
    if base64.b64decode(attributes["padding"]["s"]) == b"VALID":
        return x
    total = [
        max(0, (-(-length // stride) - 1) * stride + kernel - length)
        for length, kernel, stride in zip(x.shape[2:], size, strides, strict=True)
    ]
    (top, left), (height, width) = [one // 2 for one in total], total
    return F.pad(x, (left, width - left, top, height - top), value=value)
