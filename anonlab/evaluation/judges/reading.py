"""All judges on aligned pictures: what each says of every picture, by name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ...identity.population import skin_tones
from ...metrics.estimators import FaceApi
from ...metrics.packages import find
from ...metrics.tensorflow_js import TensorFlowJs
from ...perception.hands import anchors
from ...perception.networks import EXPRESSION_BOX
from ...recognizers import OnnxRecognizer, crop
from ...recognizers.onnx import PictureNetwork
from .mesh import MeshReader, geometry, light
from .worn import worn

# crop in an aligned picture of side 512: what the network was trained to see of a face
GEAR_BOX = (76.0, 60.0, 436.0, 440.0)
ETHNICITIES = ("white", "black", "asian", "indian", "other")
AGES = (15.0, 23.0, 28.0, 35.5, 45.5, 55.5, 65.0)  # GEAR's seven classes, years
FEATURES = "global_pooling/Mean"  # FaceRes's node of the identity
STEM = "conv_dw_13_relu/clip_by_value"  # ... and of what its last layer of filters is given
LAST = ("conv_pw_13/convolution/merged_input", "conv_pw_13_bn/batchnorm_1/sub")  # its weights
BATCH = 8  # pictures at a time: a gigabyte less than all at once
FOUND = 0.5  # BlazeFace's score of a face
BLAZEFACE = ((16, 2), (8, 6))  # cells a side, and anchors in each

Reading = dict[str, torch.Tensor]  # of `N` pictures, see `Judges`


def load_mobilefacenet() -> OnnxRecognizer:
    """Load the strong recogniser (192-d), to judge only. Raises `WeightsMissing`, `WeightsCorrupt`."""
    path = find("MobileFaceNet.tflite")
    return OnnxRecognizer(path, scale=1 / 128, offset=-127.5 / 128, name="mobilefacenet")


class FaceRes:
    """Recognise by FaceRes (1024-d, a MobileNet trained on VGGFace2), without a threshold of its own.
    Raises `WeightsMissing` or `WeightsCorrupt`."""

    name, metric, threshold, far, differentiable = "faceres", "cosine", 0.0, float("nan"), False
    box, side, dim = (36.0, 50.0, 476.0, 490.0), 224, 1024

    def __init__(self) -> None:
        self.network = TensorFlowJs("faceres", 3, self.side, FEATURES, STEM)
        self.mean = torch.zeros(self.dim)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embed FFHQ-aligned `images (N, 3, S, S)` in [-1, 1]: `(N, 1024)`."""
        return self.features(images, FEATURES)

    def features(self, images: torch.Tensor, node: str = STEM) -> torch.Tensor:
        """Return the value of `FEATURES` or `STEM`; by default what `last_layer` is given."""
        return self.network(127.5 * (crop(images, self.box, self.side) + 1))[node]

    def last_layer(self) -> LastLayer:
        """Return a copy of the last 1024 filters (a million weights), which learns."""
        filters, bias = (torch.from_numpy(self.network.weights[name]) for name in LAST)
        return LastLayer(filters.permute(3, 2, 0, 1), bias)


class LastLayer(nn.Module):
    """Filter `(N, C, s, s)` by `weight (D, C, 1, 1)` and take means over the picture: `(N, D)`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(one.clone()) for one in (weight, bias))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return F.relu6(F.conv2d(given, self.weight) + self.bias[:, None, None]).mean((2, 3))


class FaceApiExpression(FaceApi):
    """Seven expressions by face-api's network."""

    name = "face_expression_model"

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Estimate of aligned `images (N, 3, S, S)` logits `(N, 7)` of neutral, happy, sad, angry,
        fearful, disgusted and surprised."""
        x = self.seen(images, EXPRESSION_BOX)
        for block in range(4):
            total = x = self.convolution(x, f"dense{block}/conv0", 2).relu()
            for layer in (1, 2, 3):
                total = total + self.convolution(x, f"dense{block}/conv{layer}")
                x = total.relu()
        return self.dense(x.mean((2, 3)), "fc")


class Judges:
    """Ask the estimators of `packages`. Raises `WeightsMissing` or `WeightsCorrupt`."""

    def __init__(self) -> None:
        self.mesh, self.expression = MeshReader(), FaceApiExpression()
        self.finder = PictureNetwork(find("face_detection_back.tflite"))
        self.gear = TensorFlowJs("gear", 3, 198)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> Reading:
        """Read aligned `images (N, 3, S, S)` in [-1, 1].

        Numbers are `(N,)`; `expression`, `ethnicity` and `gender` chances `(N, classes)`, `points`
        `(N, 468, 3)` and `light` `(N, 9)`.
        """
        read = [self._read(batch.float()) for batch in images.split(BATCH)]
        return {name: torch.cat([one[name] for one in read]) for name in read[0]}

    def _read(self, images: torch.Tensor) -> Reading:
        mesh, contours, irises = self.mesh(images)
        expression = self.expression(images).softmax(1)
        gear = self.gear((crop(images, GEAR_BOX, 198) + 1) / 2)
        lit = light(images, mesh)
        return {
            **geometry(mesh, contours, irises),
            "points": mesh,
            "light": lit,
            "light_x": lit[:, 1],
            "light_y": lit[:, 2],
            "expression": expression,
            "happy": expression[:, 1],
            "ethnicity": gear["Identity_2"],
            "gender": gear["Identity_1"],
            "age": gear["Identity"] @ torch.tensor(AGES),
            "tone": torch.from_numpy(skin_tones(images)),
            "found": self.found(images),
            **worn(images),
        }

    def found(self, images: torch.Tensor) -> torch.Tensor:
        """Return `(N,)`: 1 where the box of a BlazeFace face holds the picture's middle, else 0."""
        out = self.finder(crop(images, (0.0, 0.0, 512.0, 512.0), self.finder.side))
        boxes = out["regressors"].view(len(images), -1, 16)[..., :4] / self.finder.side
        centre, half = boxes[..., :2] + torch.from_numpy(anchors(BLAZEFACE)).float(), boxes[..., 2:] / 2
        inside = ((centre - torch.tensor([0.5, 0.55])).abs() < half).all(-1)
        return ((out["classificators"].sigmoid() > FOUND) & inside).any(1).float()
