"""All judges on aligned pictures: one table of readings, a row a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...identity.population import skin_tones
from ...recognizers import OnnxRecognizer, crop
from ...recognizers.tflite import Tflite
from .mesh import MeshReader, geometry, light
from .networks import FaceApiExpression, Tfjs, blazeface_anchors
from .packages import find
from .worn import Worn

# crops in an aligned picture of side 512: what each network was trained to see of a face
EXPRESSION_BOX = (96.0, 120.0, 416.0, 440.0)
EMOTION_BOX = (96.0, 120.0, 416.0, 440.0)
GEAR_BOX = (76.0, 60.0, 436.0, 440.0)
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
ETHNICITIES = ("white", "black", "asian", "indian", "other")
AGES = (15.0, 23.0, 28.0, 35.5, 45.5, 55.5, 65.0)  # GEAR's seven classes, years
FEATURES = "global_pooling/Mean"  # FaceRes's node of the identity
STEM = "conv_dw_13_relu/clip_by_value"  # ... and of what its last layer of filters is given
BATCH = 8  # pictures at a time: a gigabyte less than all at once
FOUND = 0.5  # BlazeFace's score of a face


def load_mobilefacenet() -> OnnxRecognizer:
    """The strong recogniser (192-d), for judging only. Raises `WeightsMissing`, `WeightsCorrupt`."""
    return OnnxRecognizer(
        find("MobileFaceNet.tflite"), scale=1 / 128, offset=-127.5 / 128, name="mobilefacenet"
    )


class FaceRes:
    """FaceRes (1024-d, a MobileNet trained on VGGFace2), with gradients; a `Recognizer` without a
    threshold of its own. Raises `WeightsMissing` or `WeightsCorrupt`."""

    name, metric, threshold, far, differentiable = "faceres", "cosine", 0.0, float("nan"), True
    box, dim = (36.0, 50.0, 476.0, 490.0), 1024

    def __init__(self) -> None:
        find("faceres.bin")
        self.network, self.mean = Tfjs(find("faceres.json")), torch.zeros(self.dim)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, 1024)`."""
        return self.features(images, FEATURES)

    def features(self, images: torch.Tensor, node: str = STEM) -> torch.Tensor:
        """The value of a node of the network; by default what `last_layer` is given."""
        return self.network(127.5 * (crop(images, self.box, 224) + 1), node)[node]

    def last_layer(self) -> Tfjs:
        """The last 1024 filters (a million weights), which learn."""
        return self.network.after(STEM, FEATURES)


@dataclass
class Reading:
    """What the judges say of `N` pictures."""

    numbers: dict[str, torch.Tensor]  # (N,) each
    labels: dict[str, torch.Tensor]  # (N, classes) chances
    points: torch.Tensor  # (N, 468, 3)
    light: torch.Tensor  # (N, 9)


class Judges:
    """The estimators of `packages`. Raises `WeightsMissing` or `WeightsCorrupt`."""

    def __init__(self) -> None:
        self.mesh = MeshReader()
        self.finder = Tflite(find("face_detection_back.tflite"))
        self.expression = FaceApiExpression(
            find("face_expression_model-weights_manifest.json"), find("face_expression_model.bin")
        )
        for name in ("emotion.bin", "gear.bin"):
            find(name)
        self.worn = Worn()
        self.emotion, self.gear = Tfjs(find("emotion.json")), Tfjs(find("gear.json"))

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> Reading:
        """`images (N, 3, S, S)` in [-1, 1], aligned."""
        parts = [self._read(batch.float()) for batch in images.split(BATCH)]
        numbers, labels = (
            {
                name: torch.cat([getattr(one, kind)[name] for one in parts])
                for name in getattr(parts[0], kind)
            }
            for kind in ("numbers", "labels")
        )
        return Reading(
            numbers,
            labels,
            torch.cat([one.points for one in parts]),
            torch.cat([one.light for one in parts]),
        )

    def _read(self, images: torch.Tensor) -> Reading:
        mesh = self.mesh(images)
        labels = {
            "expression": self.expression(127.5 * (crop(images, EXPRESSION_BOX, 112) + 1)).softmax(1),
            "emotion": self._emotion(images),
        }
        gear = self.gear((crop(images, GEAR_BOX, 198) + 1) / 2)
        labels["ethnicity"], labels["gender"] = gear["Identity_2"], gear["Identity_1"]
        lit = light(images, mesh)
        numbers = {
            **geometry(mesh),
            "light_x": lit[:, 1],
            "light_y": lit[:, 2],
            "happy": labels["expression"][:, 1],
            "happy_second": labels["emotion"][:, 3],
            "age": gear["Identity"] @ torch.tensor(AGES),
            "tone": torch.from_numpy(skin_tones(images)),
            "found": self.found(images),
            "glasses": self.worn(images),
        }
        return Reading(numbers, labels, mesh.points, lit)

    def _emotion(self, images: torch.Tensor) -> torch.Tensor:
        grey = (images * torch.tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        return next(iter(self.emotion(crop(grey, EMOTION_BOX, 64)).values()))

    def found(self, images: torch.Tensor) -> torch.Tensor:
        """1 where BlazeFace has a face whose box holds the middle of the picture, else 0: `(N,)`."""
        out = self.finder(crop(images, (0.0, 0.0, 512.0, 512.0), self.finder.side))
        boxes = out["regressors"].view(len(images), -1, 16)[..., :4] / self.finder.side
        centre, half = boxes[..., :2] + blazeface_anchors(), boxes[..., 2:] / 2
        inside = ((centre - torch.tensor([0.5, 0.55])).abs() < half).all(-1)
        return ((out["classificators"].sigmoid() > FOUND) & inside).any(1).float()
