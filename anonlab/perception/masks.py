"""From a map to a mask: 1 is identity-relevant and will be regenerated, 0 stays as it is.

By area, by threshold or by facial region.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..controls import REGIONS, Controls
from ..errors import UnknownOption, check_choice
from ..images import blurred, resize
from .regions import region_masks


def mask_from_attribution(
    attribution: torch.Tensor, area: float, softness: float = 3.0, size: int | None = None
) -> torch.Tensor:
    """Select the share `area` of pixels with the highest attribution: `(N, 1, size, size)` in [0, 1].

    1 is identity-relevant, to be regenerated. `softness` is the Gaussian of the edge, in pixels of
    the attribution; the area of the soft mask (its mean) is `area` to within a pixel's width.
    Areas 0 and 1 are exact. Raises `UnknownOption` for an area outside [0, 1].
    """
    if not 0 <= area <= 1:
        raise UnknownOption(f"mask_area {area} is not between 0 and 1")
    n, _, height, width = attribution.shape
    if area in (0, 1):
        mask = torch.full_like(attribution, area)
    else:
        flat = attribution.flatten(1)
        count = round(area * flat.shape[1])
        # by rank and not by value: ties at zero must not flood the mask
        order = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
        mask = torch.zeros_like(flat).scatter_(1, order, 1.0).view(n, 1, height, width)
        if softness > 0:
            mask = blurred(mask, softness)
    return mask if size is None else resize(mask, size).clamp(0, 1)


def masked_face(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Keep what stays: `image (N, 3, S, S)` with the mask painted mid-grey (0)."""
    return image * (1 - resize(mask, image.shape[-1]))


def build_mask(
    attribution: torch.Tensor,
    controls: Controls,
    points: torch.Tensor | None = None,
    size: int | None = None,
) -> torch.Tensor:
    """Build the mask that `controls` describe: `(1, 1, size, size)` in [0, 1].

    By area or threshold; then regions in, mirrored, regions out, softened. Including a
    region makes the mask larger than `mask_area`. `points (1, 68, 2)` are needed for regions.
    """
    if controls.mask_threshold is not None:
        mask = mask_by_threshold(attribution, controls.mask_threshold)
    else:
        mask = mask_from_attribution(attribution, controls.mask_area, softness=0)

    def regions(names: Sequence[str]) -> torch.Tensor:
        if points is None:
            raise UnknownOption("regions need the 68 points of the face; pass points=landmarks(image)")
        return mask_of_regions(points, names, attribution.shape[-1]).to(mask)

    if controls.include:
        mask = mask.maximum(regions(controls.include))
    if controls.symmetric:
        mask = mask.maximum(mask.flip(-1))  # about the middle of the aligned face
    if controls.exclude:
        mask = mask * (1 - regions(controls.exclude))
    if controls.softness > 0 and 0 < mask.mean() < 1:
        mask = blurred(mask, controls.softness).clamp(0, 1)
    return mask if size is None else resize(mask, size).clamp(0, 1)


def mask_by_threshold(attribution: torch.Tensor, threshold: float) -> torch.Tensor:
    """Select the pixels whose attribution (maximum 1) is above `threshold`, 0–1: `(N, 1, H, W)` of 0 and
    1. Raises `UnknownOption`."""
    if not 0 <= threshold <= 1:
        raise UnknownOption(f"threshold {threshold} is not between 0 and 1")
    return (attribution > threshold).to(attribution)


def mask_of_regions(points: torch.Tensor, names: Sequence[str], size: int = 256) -> torch.Tensor:
    """Draw facial regions by name from 68 points `(1, 68, 2)`: `(1, 1, size, size)` of 0 and 1. Raises
    `UnknownOption`."""
    check_choice("region", names, REGIONS)
    regions = region_masks(points, size)
    return torch.stack([torch.zeros(1, 1, size, size), *(regions[name] for name in names)]).amax(0)
