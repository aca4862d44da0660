"""Recognisers by name and by path."""

import numpy as np
import pytest
import torch
from torch import nn

from anonlab.errors import UnknownOption, WeightsCorrupt, WeightsMissing
from anonlab.recognizers import load_recognizer


class Tiny(nn.Module):
    """An embedding model small enough to export in a test."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 7, 7)
        self.fc = nn.Linear(8, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.tanh(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    model = Tiny().eval()
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    torch.onnx.export(model, (torch.zeros(1, 3, 112, 112),), str(path), verbose=False)
    return model, path


def test_onnx_gives_what_the_model_gives(exported, synthetic_faces):
    model, path = exported
    onnx = load_recognizer("onnx", path, box=(0, 0, 512, 512), threshold=0.4, far=1e-3)
    assert (onnx.size, onnx.dim, onnx.name, onnx.differentiable) == (112, 16, "tiny", False)
    with torch.no_grad():
        inputs = torch.nn.functional.interpolate(
            torch.nn.functional.avg_pool2d(synthetic_faces, 4), size=112, mode="bilinear"
        )
        theirs = model(inputs)
    np.testing.assert_allclose(onnx.embed(synthetic_faces), theirs, atol=1e-4)


def test_onnx_errors(tmp_path, exported):
    with pytest.raises(UnknownOption, match="path"):
        load_recognizer("onnx")
    with pytest.raises(WeightsMissing, match=r"gone\.onnx"):
        load_recognizer("onnx", tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match=r"bad\.onnx"):
        load_recognizer("onnx", tmp_path / "bad.onnx")
    with pytest.raises(UnknownOption, match="metric"):
        load_recognizer("onnx", exported[1], metric="manhattan")
    with pytest.raises(UnknownOption, match="sise does not exist; choose from: box, size"):
        load_recognizer("onnx", exported[1], sise=112)


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
