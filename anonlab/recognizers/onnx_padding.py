"""ONNX graphs that ask for `auto_pad`, as exports of TensorFlow do, with their padding written out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

SIDES = {b"SAME_UPPER": 0, b"SAME_LOWER": 1}  # which side gets the smaller half
PADS_WITH = {"Conv": 0.0, "MaxPool": float(np.finfo(np.float32).min)}


def explicit_padding(model: ModelProto, size: int) -> ModelProto:
    """The same model for pictures `(1, 3, size, size)`, with a Pad before every convolution or maximum
    that had `auto_pad`, by ONNX's own formula (onnx.ai, operator Conv):

        out = ⌈in / stride⌉,    pad = max(0, (out - 1) · stride + kernel - in)

    (ONNX Runtime, which has run the model before, refuses dilation here.) Raises `ValueError` for
    another operation with `auto_pad`, or one whose input's size is not known.
    """
    from onnx import helper, numpy_helper, shape_inference

    if not any(_text(node, "auto_pad") in SIDES for node in model.graph.node):
        return model
    for value, length in zip(_dims(model.graph.input[0]), (1, 3, size, size), strict=True):
        value.dim_value = length
    inferred = shape_inference.infer_shapes(model)
    known = {value.name: _lengths(value) for value in (*inferred.graph.value_info, *model.graph.input)}
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if _text(node, "auto_pad") in SIDES:
            if node.op_type not in PADS_WITH or 0 in known.get(node.input[0], [0]):
                raise ValueError(f"auto_pad of {node.op_type} {node.name}")
            kernel = _ints(node, "kernel_shape") or shapes[node.input[1]][2:]
            pads = _pads(node, known[node.input[0]][2:], kernel)
            name = f"{node.output[0]}_padded"
            values = {
                f"{name}_by": np.array([0, 0, *pads[0], 0, 0, *pads[1]], np.int64),
                f"{name}_with": np.array(PADS_WITH[node.op_type], np.float32),
            }
            model.graph.initializer.extend(
                numpy_helper.from_array(value, key) for key, value in values.items()
            )
            nodes.append(helper.make_node("Pad", [node.input[0], *values], [name], name=name))
            node.input[0] = name
            left = [a for a in node.attribute if a.name != "auto_pad"]
            del node.attribute[:]
            node.attribute.extend([*left, helper.make_attribute("pads", [0] * 2 * len(kernel))])
        nodes.append(node)
    _replace_nodes(model.graph, nodes)
    return model


def _pads(node: NodeProto, lengths: list[int], kernel: list[int]) -> tuple[list[int], list[int]]:
    """Pixels before and after each spatial axis."""
    strides = _ints(node, "strides") or [1] * len(kernel)
    before, after = [], []
    for length, side, stride in zip(lengths, kernel, strides, strict=True):
        total = max(0, (math.ceil(length / stride) - 1) * stride + side - length)
        halves = (total // 2, total - total // 2)
        smaller_last = SIDES[_text(node, "auto_pad")]
        before.append(halves[smaller_last])
        after.append(halves[1 - smaller_last])
    return before, after


def _replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _dims(value) -> list:
    return list(value.type.tensor_type.shape.dim)


def _lengths(value) -> list[int]:
    """0 for a length that is not known."""
    return [one.dim_value for one in _dims(value)]


def _attribute(node: NodeProto, name: str):
    return next((a for a in node.attribute if a.name == name), None)


def _text(node: NodeProto, name: str) -> bytes:
    found = _attribute(node, name)
    return found.s if found is not None else b""


def _ints(node: NodeProto, name: str) -> list[int]:
    found = _attribute(node, name)
    return list(found.ints) if found is not None else []
