"""Any embedding model in ONNX or TensorFlow Lite, by path: recognisers that no loss has used."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import torch

from ..errors import UnknownOption, WeightsCorrupt, WeightsMissing, check_choice
from ..openvino_runtime import compiled, import_openvino
from .base import Metric, crop


class OnnxRecognizer:
    """A recogniser run by OpenVINO on the CPU; it has no gradients.

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
        check_choice("metric", metric, ("euclidean", "cosine"))
        try:
            self.network = PictureNetwork(path)
        except Exception as error:
            raise WeightsCorrupt(
                f"{path} is not a model in {path.suffix[1:]} that can be run "
                f"({str(error).splitlines()[0]}); export it again"
            ) from None
        self.size = size or self.network.side
        if not self.size:
            raise UnknownOption(f"{path} does not state its input size; pass size=")
        self.name, self.box = name or path.stem, box
        self.scale, self.offset, self.bgr = scale, offset, bgr
        self.metric, self.threshold, self.far = metric, threshold, far
        self.dim = self.embed(torch.zeros(1, 3, 64, 64)).shape[1]
        self.mean = torch.zeros(self.dim)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embed FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, dim)`."""
        chips = (crop(images.detach().cpu(), self.box, self.size) + 1) * 127.5
        chips = chips.clamp(0, 255) * self.scale + self.offset
        return next(iter(self.network(chips.flip(1) if self.bgr else chips).values()))


class PictureNetwork:
    """An ONNX or TensorFlow Lite file by OpenVINO, for pictures `(N, 3, S, S)`.

    `side` is its S, 0 where the file states none; `names` are those of its outputs. Pictures are given
    one at a time, in float32; a file of a larger fixed batch gets each repeatedly.
    """

    def __init__(self, path: str | os.PathLike):
        model = import_openvino().Core().read_model(path)
        shape = model.inputs[0].partial_shape
        sizes = [0 if size.is_dynamic else size.get_length() for size in shape]
        self.channels_last = sizes[-1] == 3  # as TensorFlow has them
        self.batch, self.side = max(1, sizes[0]), sizes[1 if self.channels_last else 2]
        self.names = [output.get_any_name() for output in model.outputs]
        self.model = compiled(model, torch.get_num_threads())

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the outputs by name, each `(N, values)`."""
        outputs: dict[str, list[torch.Tensor]] = {name: [] for name in self.names}
        for image in images.permute(0, 2, 3, 1) if self.channels_last else images:
            out = self.model(np.repeat(image[None].numpy(), self.batch, 0))
            for number, name in enumerate(self.names):
                outputs[name].append(torch.from_numpy(out[number][0].reshape(-1).copy()))
        return {name: torch.stack(values) for name, values in outputs.items()}


def check_options(options: object) -> None:
    """Raise `UnknownOption` for what is no mapping of `OnnxRecognizer`'s options."""
    known = [*inspect.signature(OnnxRecognizer).parameters][1:]
    if not isinstance(options, dict):
        raise UnknownOption(f"{options!r} is no JSON object of options: {', '.join(known)}")
    check_choice("option", [*options], known)
