"""Teach the glasses readout what eyes saw: labels given by hand to generated faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import nn

from ..images import from_bytes, to_bytes
from ..perception.networks import GlassesNetwork, window
from ..watch import Watch, quiet
from .augment import augment
from .labels import FOLD, Labels
from .loop import seeded_model
from .synthetic import BATCH, Samples

AUGMENTED = 6000  # pictures that are moved, recoloured and degraded, half of them with glasses
HIDDEN = 0.3  # share of the window that something in front may cover: beyond it cannot be told
CERTAINTY = 0.97  # what a label is worth: a few of a thousand are wrong


class GlassesTask:
    """Teach the readout the labels, on clean faces and on photo-like ones.

    Worn and bare weigh the same, whatever their shares are. Changed pictures are made once, before
    training: changing takes longer than reading.
    """

    name = "glasses"

    def __init__(
        self,
        samples: Samples,
        labels: Labels,
        augmented: int = AUGMENTED,
        seed: int = 0,
        watch: Watch = quiet,
    ):
        device, labels = samples.images.device, labels.among(len(samples))
        self.samples = samples
        self.model: nn.Module = seeded_model(GlassesNetwork, seed).to(device)
        both = labels.bare, labels.worn
        self.held_out = [index[index % FOLD == 0].to(device) for index in both]
        learned = [index[index % FOLD != 0].to(device) for index in both]
        rng = torch.Generator().manual_seed(seed)
        pools: list[list[torch.Tensor]] = [[], []]
        for start in range(0, augmented, 2 * BATCH):
            watch("changing pictures", start / augmented)
            for pool, index in zip(pools, learned, strict=True):
                count = min(BATCH, -(-(augmented - start) // 2))
                drawn = torch.randint(len(index), (count,), generator=rng).to(device)
                pool.append(to_bytes(self.changed(index[drawn], rng)))
        self.pools = [
            torch.cat([to_bytes(window(samples.pictures(index))), *pool])
            for pool, index in zip(pools, learned, strict=True)
        ]

    def changed(self, index: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return windows of some faces as photos might have them, less those that are hidden."""
        pictures = self.samples.pictures(index)
        seen = augment(pictures, pictures[:, :1, ::4, ::4], rng)
        visible = window(seen.occluded).mean((1, 2, 3)) < HIDDEN
        return window(seen.images)[visible]

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
        clean, changed, agreed = [], [], []
        for index in self.held_out:
            said, photo_like = [], []
            for part in index.split(BATCH):
                pictures = self.samples.pictures(part)
                seen = augment(pictures, pictures[:, :1, ::4, ::4], rng, clean=0.0)
                visible = window(seen.occluded).mean((1, 2, 3)) < HIDDEN
                said.append(model(pictures))
                photo_like.append(model(seen.images)[visible])
                agreed.append((said[-1][visible] > 0) == (photo_like[-1] > 0))
            clean.append(torch.cat(said))
            changed.append(torch.cat(photo_like))
        bare, worn = clean[0] < 0, clean[1] > 0
        truth = [0] * len(bare) + [1] * len(worn)
        shares = {
            "accuracy": torch.cat([bare, worn]),
            "accuracy_bare": bare,
            "accuracy_worn": worn,
            "accuracy_changed": torch.cat([changed[0] < 0, changed[1] > 0]),
            "agreement_changed": torch.cat(agreed),
        }
        numbers = {name: right.float().mean().item() for name, right in shares.items()}
        return numbers | {"auc": float(roc_auc_score(truth, torch.cat(clean).cpu()))}
