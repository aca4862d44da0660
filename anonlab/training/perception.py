"""Teach the perception network the recogniser's own maps on generated faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from ..images import from_bytes, to_bytes
from ..perception.faithfulness import rank_correlation
from ..perception.perception_network import PerceptionNetwork
from ..recognizers import Recognizer
from .augment import augment
from .loop import seeded_model
from .synthetic import BATCH, Samples, quick_attribution

AUGMENTED = 1500  # pictures that are moved, recoloured and degraded, with maps of their own


class PerceptionTask:
    """The network against integrated gradients, on clean faces and on photo-like ones.

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
        progress: bool = False,
    ):
        self.samples, self.held_out = samples, samples.held_out
        self.model: nn.Module = seeded_model(PerceptionNetwork, seed).to(samples.images.device)
        rng = torch.Generator().manual_seed(seed)
        images, maps = [samples.images[self.held_out :]], [samples.attribution[self.held_out :]]
        starts = range(0, augmented, BATCH)
        for start in tqdm(starts, desc="augmented", unit="batch", disable=not progress):
            count = min(BATCH, augmented - start)
            index = samples.random_index(count, rng)
            seen = augment(samples.pictures(index), samples.attribution[index].float(), rng).images
            images.append(to_bytes(seen))
            maps.append(quick_attribution(recognizer, seen))
        self.images, self.maps = torch.cat(images), torch.cat(maps)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Difference of the roots, and what their correlation lacks of 1."""
        index = torch.randint(len(self.images), (batch,), generator=rng).to(self.images.device)
        wanted = self.maps[index].float().sqrt()
        found = model(from_bytes(self.images[index]))
        return {
            "root": F.l1_loss(found, wanted),
            "correlation": 0.2 * (1 - correlation(found, wanted)).mean(),
        }

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Correlation of ranks, and shared pixels of the two masks of area 0.1 and 0.25."""
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
    """Pearson's correlation of two maps, `(N, ...)` and `(N, ...)` to `(N,)`."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return F.cosine_similarity(a, b, dim=1)
