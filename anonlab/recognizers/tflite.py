"""TensorFlow Lite files by OpenVINO, which reads them as they are."""

from __future__ import annotations

import os

import numpy as np
import torch


class Tflite:
    """A network for pictures `(N, 3, S, S)`: `side` is its S, `names` are those of its outputs.

    Pictures are given one at a time, in float32; a file of a larger fixed batch gets each repeatedly.
    """

    def __init__(self, path: str | os.PathLike):
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        self.batch, self.side = model.inputs[0].shape[:2]
        self.names = [output.get_any_name() for output in model.outputs]
        hint = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self.model = core.compile_model(model, "CPU", hint)

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the outputs by name, each `(N, values)`."""
        outputs: dict[str, list[torch.Tensor]] = {name: [] for name in self.names}
        for image in images.permute(0, 2, 3, 1):
            out = self.model(np.repeat(image[None].numpy(), self.batch, 0))
            for number, name in enumerate(self.names):
                outputs[name].append(torch.from_numpy(out[number][0].reshape(-1).copy()))
        return {name: torch.stack(values) for name, values in outputs.items()}
