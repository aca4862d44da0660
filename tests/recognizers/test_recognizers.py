"""Recognisers by name and by path."""

import numpy as np
import pytest
import torch

from anonlab.errors import UnknownOption, WeightsCorrupt, WeightsMissing
from anonlab.recognizers import load_recognizer


def test_onnx_gives_what_the_model_gives(tiny_onnx, synthetic_faces):
    onnx = load_recognizer("onnx", tiny_onnx, box=(0, 0, 512, 512), threshold=0.4, far=1e-3)
    assert (onnx.size, onnx.dim, onnx.name, onnx.differentiable) == (8, 192, "tiny", False)
    pixels = torch.nn.functional.avg_pool2d(synthetic_faces, 64).flatten(1)
    np.testing.assert_allclose(onnx.embed(synthetic_faces), pixels, atol=1e-4)


def test_onnx_errors(tmp_path, tiny_onnx):
    with pytest.raises(UnknownOption, match="path"):
        load_recognizer("onnx")
    with pytest.raises(WeightsMissing, match=r"gone\.onnx"):
        load_recognizer("onnx", tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match=r"bad\.onnx"):
        load_recognizer("onnx", tmp_path / "bad.onnx")
    with pytest.raises(UnknownOption, match="metric"):
        load_recognizer("onnx", tiny_onnx, metric="manhattan")
    with pytest.raises(UnknownOption, match="sise does not exist; choose from: box, size"):
        load_recognizer("onnx", tiny_onnx, sise=112)


def test_facenet_from_a_path(tmp_path, synthetic_faces):
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    network = InceptionResnetV1(num_classes=10, classify=True).eval()
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    facenet = load_recognizer("facenet", path)
    with torch.no_grad():
        embeddings = facenet.embed(synthetic_faces[:2])
    assert embeddings.shape == (2, 512)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsCorrupt, match=r"weights\.pt"):
        load_recognizer("facenet", path)
