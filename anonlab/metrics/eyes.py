"""Whether glasses were kept."""

from __future__ import annotations

import torch

MARGIN = 1.0  # how far on either side of 0 a readout must be to count (a chance of 73 %)


def glasses_flips(before: torch.Tensor, after: torch.Tensor, margin: float = MARGIN) -> torch.Tensor:
    """1 where glasses came, -1 where they went, else 0: logits of `GlassesNetwork`, `(N,)` and `(N,)`.

    A flip counts when both readouts are further than `margin` from 0.
    """
    worn, bare = [x > margin for x in (before, after)], [x < -margin for x in (before, after)]
    return (bare[0] & worn[1]).int() - (worn[0] & bare[1]).int()


def glasses_changed(before: torch.Tensor, after: torch.Tensor, margin: float = MARGIN) -> float:
    """Share of people who got or lost glasses, see `glasses_flips`."""
    return (glasses_flips(before, after, margin) != 0).float().mean().item()
