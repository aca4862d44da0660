"""Any embedding model in ONNX or TensorFlow Lite, by path: recognisers that no loss has used."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..errors import UnknownOption, WeightsCorrupt, WeightsMissing
from .base import Metric, crop
from .tflite import Tflite

Run = Callable[[np.ndarray], np.ndarray]


class OnnxRecognizer:
    """A recogniser run by ONNX Runtime or OpenVINO (`.tflite`) on the CPU; it has no gradients.

    - `box`: the crop, (left, top, right, bottom) in an aligned image of side 512; the default is
      where ArcFace's five-point template of 112 px falls.
    - `size`: side of the model's input; read from the model when it states one.
    - `scale`, `offset`: the model is given `pixel · scale + offset`, pixels 0–255; the default
      makes [-1, 1].
    - `bgr`: whether it wants blue first.
    - `metric`, `threshold`, `far`: see `Recognizer`. Without a threshold nothing can match, so
      measure one first (two faces match when their distance is below it).

    Raises `WeightsMissing`, `WeightsCorrupt` or `UnknownOption`.
    """

    differentiable = False

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        box: tuple[float, float, float, float] = (64.0, 64.0, 448.0, 448.0),
        size: int | None = None,
        scale: float = 1 / 127.5,
        offset: float = -1.0,
        bgr: bool = False,
        metric: Metric = "cosine",
        threshold: float = 0.0,
        far: float = float("nan"),
        name: str | None = None,
    ):
        path = Path(path)
        if not path.is_file():
            raise WeightsMissing(f"{path} (recogniser) does not exist; check the path")
        if metric not in ("euclidean", "cosine"):
            raise UnknownOption(f"metric {metric!r} does not exist; choose euclidean or cosine")
        try:
            self.run, side = (_tflite if path.suffix == ".tflite" else _onnx)(path)
        except Exception as error:
            raise WeightsCorrupt(
                f"{path} is not a model in {path.suffix[1:]} that can be run "
                f"({str(error).splitlines()[0]}); export it again"
            ) from None
        self.size = size or side
        if not self.size:
            raise UnknownOption(f"{path} does not state its input size; pass size=")
        self.name, self.box = name or path.stem, box
        self.scale, self.offset, self.bgr = scale, offset, bgr
        self.metric, self.threshold, self.far = metric, threshold, far
        self.dim = self.embed(torch.zeros(1, 3, 64, 64)).shape[1]
        self.mean = torch.zeros(self.dim)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, dim)`."""
        chips = self.chips(images.detach().cpu())
        # one at a time: many exported models have a fixed batch size of one
        return torch.cat(
            [torch.from_numpy(self.run(chip[None].numpy()).reshape(1, -1)) for chip in chips]
        )

    def chips(self, images: torch.Tensor) -> torch.Tensor:
        """What the model is given of aligned images: `(N, 3, size, size)`, differentiably."""
        chips = (crop(images, self.box, self.size) + 1) * 127.5
        chips = chips.clamp(0, 255) * self.scale + self.offset
        return chips.flip(1) if self.bgr else chips


def _onnx(path: Path) -> tuple[Run, int]:
    """A model in ONNX by ONNX Runtime: pictures `(1, 3, S, S)` to its first output, and its side."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    # leaves the core to torch
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    height = given.shape[-2] if len(given.shape) == 4 else None
    return (
        lambda pictures: session.run(None, {given.name: pictures})[0],
        height if isinstance(height, int) else 0,
    )


def _tflite(path: Path) -> tuple[Run, int]:
    """A model in TensorFlow Lite, its first output."""
    network = Tflite(path)
    return (
        lambda pictures: network(torch.from_numpy(pictures))[network.names[0]].numpy(),
        network.side,
    )


def check_options(options: object) -> None:
    """Raises `UnknownOption` for what is no mapping of `OnnxRecognizer`'s options."""
    known = [*inspect.signature(OnnxRecognizer).parameters][1:]
    if not isinstance(options, dict):
        raise UnknownOption(f"{options!r} is no JSON object of options: {', '.join(known)}")
    unknown = sorted(set(options) - {*known})
    if unknown:
        raise UnknownOption(
            f"option {', '.join(unknown)} does not exist; choose from: {', '.join(known)}"
        )
