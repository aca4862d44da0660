"""Teach the perception network the recogniser's own maps on generated faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..faithfulness import rank_correlation
from ..perception_network import PerceptionNetwork
from ..recognizers import Recognizer
from .augment import augment
from .synthetic import Samples, quick_attribution

HELD_OUT = 64


class PerceptionTask:
    """The network against integrated gradients, and against its own mirror image.

    A moved face has a moved map only nearly (the recogniser's chip is fixed), so the maps of
    pictures that are moved or recoloured are asked of the recogniser again.
    """

    name = "perception"

    def __init__(self, samples: Samples, recognizer: Recognizer, fresh: float = 0.5, seed: int = 0):
        self.samples, self.recognizer, self.fresh = samples, recognizer, fresh
        self.held_out = min(HELD_OUT, len(samples) // 4)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # modules draw their first weights from the global generator
            self.model: nn.Module = PerceptionNetwork().to(samples.images.device)

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Difference of the roots, and what their correlation lacks of 1."""
        index = torch.randint(self.held_out, len(self.samples), (batch,), generator=rng)
        index = index.to(self.samples.images.device)
        images, maps = self.samples.pictures(index), self.samples.attribution[index].float()
        if torch.rand((), generator=rng).item() < self.fresh:
            images = augment(images, maps, rng).images
            maps = quick_attribution(self.recognizer, images).float()
        wanted, found = maps.sqrt(), model(images)
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
