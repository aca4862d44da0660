"""Padding written out is what ONNX Runtime does by itself, for every side, stride and kernel."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from anonlab.recognizers import load_guide, load_recognizer
from anonlab.recognizers.onnx_padding import explicit_padding

SIZE = 17


def model(kind: str, auto_pad: str, kernel: int, **attributes):
    """One operation on a picture of any size, and a mean of its channels."""
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(
        rng.standard_normal((4, 3, kernel, kernel)).astype(np.float32), "weights"
    )
    inputs = ["image", "weights"] if kind == "Conv" else ["image"]
    nodes = [
        helper.make_node(
            kind, inputs, ["there"], auto_pad=auto_pad, kernel_shape=[kernel] * 2, **attributes
        ),
        helper.make_node("Relu", ["there"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [weights] if kind == "Conv" else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def answer(one, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("kind", "kernel", "attributes"),
    [
        ("Conv", 3, {"strides": [2, 2]}),
        ("Conv", 4, {}),
        ("Conv", 1, {"strides": [3, 3]}),
        ("MaxPool", 2, {"strides": [2, 2]}),
        ("MaxPool", 3, {"strides": [2, 2]}),
    ],
)
def test_written_out_it_is_what_the_runtime_does(kind, kernel, attributes, auto_pad):
    image = np.random.default_rng(1).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32) - 2
    theirs = answer(model(kind, auto_pad, kernel, **attributes), image)
    written = explicit_padding(model(kind, auto_pad, kernel, **attributes), SIZE)
    assert all(a.name != "auto_pad" for node in written.graph.node for a in node.attribute)
    np.testing.assert_allclose(answer(written, image), theirs, atol=1e-5)


def test_what_averages_over_its_padding_is_refused_by_name():
    with pytest.raises(ValueError, match="auto_pad of AveragePool"):
        explicit_padding(model("AveragePool", "SAME_UPPER", 3), SIZE)


def test_a_graph_without_it_stays_and_a_guide_takes_one_with_it(tmp_path, synthetic_faces):
    plain = model("Conv", "NOTSET", 3)
    before = plain.SerializeToString()
    assert explicit_padding(plain, SIZE).SerializeToString() == before
    path = tmp_path / "same.onnx"
    path.write_bytes(model("Conv", "SAME_UPPER", 3, strides=[2, 2]).SerializeToString())
    options = {"size": SIZE, "threshold": 0.4, "far": 1e-3}
    guide, onnx = load_guide(path, "cpu", **options), load_recognizer("onnx", path, **options)
    torch.testing.assert_close(
        guide.embed(synthetic_faces), onnx.embed(synthetic_faces), atol=1e-4, rtol=1e-4
    )
