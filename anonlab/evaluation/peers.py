"""What anonlab is measured against: a box, blur and pixels, as most programs hide faces, and k-same.

A peer takes an aligned face `(1, 3, S, S)` in [-1, 1] and gives it back anonymized.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from ..images import blurred, resize
from ..photo.faces import face_oval

Peer = Callable[[torch.Tensor], torch.Tensor]

BOX = (0.22, 0.20, 0.78, 0.92)  # the face in an aligned picture: left, top, right, bottom
BLURS = {"weak": 0.03, "medium": 0.06, "strong": 0.12}  # Gaussian, in widths of the box
BLOCKS = {"weak": 24, "medium": 12, "strong": 6}  # of a pixelated face, across the box
K_SAME_SIDE = 32  # pixels of the grey pictures whose difference says which people are alike


def box_of(size: int) -> tuple[slice, slice]:
    """Return rows and columns of the face box in an aligned picture of that side."""
    left, top, right, bottom = (round(side * size) for side in BOX)
    return slice(top, bottom), slice(left, right)


def with_box(image: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """Put `face` into the box of a copy of the picture."""
    result = image.clone()
    result[..., *box_of(image.shape[-1])] = face
    return result


def blur(image: torch.Tensor, width: float) -> torch.Tensor:
    """Blur the face box by a Gaussian of so many widths of it; the colours around it flow in."""
    size, sigma = image.shape[-1], width * (BOX[2] - BOX[0]) * 256
    soft = resize(blurred(resize(image, 256), sigma), size)
    return with_box(image, soft[..., *box_of(size)])


def pixelate(image: torch.Tensor, across: int) -> torch.Tensor:
    """Draw the face box in so many square blocks across, each of its mean colour."""
    face = image[..., *box_of(image.shape[-1])]
    height, width = face.shape[-2:]
    small = F.adaptive_avg_pool2d(face, (max(1, round(across * height / width)), across))
    return with_box(image, F.interpolate(small, size=(height, width), mode="nearest"))


def single_face_peers() -> dict[str, Peer]:
    """Return every peer that needs only one face, by name: a black box, blur and pixels."""
    table: dict[str, Peer] = {"blackout": lambda image: with_box(image, torch.tensor(-1.0))}
    table |= {f"blur {name}": partial(blur, width=width) for name, width in BLURS.items()}
    return table | {f"pixelate {name}": partial(pixelate, across=n) for name, n in BLOCKS.items()}


def k_same(images: list[torch.Tensor], k: int) -> list[torch.Tensor]:
    """Replace every face by the mean of `k` similar ones (k-Same, Newton et al. 2005).

    Aligned `images (1, 3, S, S)` of different people. The first person and the k - 1 nearest share a
    mean, then the next one without a mean; the last group has up to 2k - 1 members. Within a group all
    faces are the same, so linkage is at most 1 / k by construction. Fewer than `k` people share one.
    """
    small = torch.cat([resize(image, K_SAME_SIDE).mean(1).flatten(1) for image in images])
    left, results = list(range(len(images))), list(images)
    weight = torch.from_numpy(face_oval(images[0].shape[-1])).float()
    while left:
        away = (small[left] - small[left[0]]).norm(dim=1)
        count = k if len(left) >= 2 * k else len(left)
        group = [left[index] for index in away.argsort(stable=True)[:count].tolist()]
        mean = torch.stack([images[index] for index in group]).mean(0)
        for index in group:
            results[index] = torch.lerp(images[index], mean, weight)
        left = [index for index in left if index not in group]
    return results
