"""What a face recogniser must offer, and the arithmetic that all of them share."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
import torch.nn.functional as F

from ..images import warp

Metric = Literal["euclidean", "cosine"]


class Recognizer(Protocol):
    """Turns FFHQ-aligned faces into embeddings, and knows when two embeddings are one person.

    `threshold` is in units of `distance`; two faces match when their distance is below it.
    `far` is the false-accept rate that the threshold was published or measured with. `mean` is the
    average embedding of many people: subtract it before taking a cosine, because all faces share a
    large part of their embedding.
    """

    name: str
    dim: int
    metric: Metric
    threshold: float
    far: float
    differentiable: bool
    box: tuple[float, float, float, float]  # what it looks at, in an aligned image of side 512
    mean: torch.Tensor  # (dim,)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embed FFHQ-aligned `images (N, 3, S, S)` in [-1, 1], any S, to embeddings `(N, dim)`."""
        ...


def distance(recognizer: Recognizer, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute the recogniser's own distance between embeddings `(N, dim)` and `(N, dim)`, as `(N,)`."""
    if recognizer.metric == "euclidean":
        return (a - b).norm(dim=-1)
    return 1 - F.cosine_similarity(a, b, dim=-1)


def matches(recognizer: Recognizer, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Tell whether the recogniser takes two embeddings for one person, as booleans `(N,)`."""
    return distance(recognizer, a, b) < recognizer.threshold


def centred(recognizer: Recognizer, embeddings: torch.Tensor) -> torch.Tensor:
    """Take the part that all faces share off embeddings; on the unit sphere, `(N, dim)`."""
    return F.normalize(embeddings - recognizer.mean.to(embeddings), dim=-1)


def crop(images: torch.Tensor, box: tuple[float, float, float, float], size: int) -> torch.Tensor:
    """Cut one fixed box out of aligned images and resize it, differentiably.

    `images (N, 3, S, S)`; `box` is (left, top, right, bottom) for an aligned image of side 512,
    whatever S is; the result is `(N, 3, size, size)`. Larger images are averaged down first, so
    the samples do not alias.
    """
    left, top, right, bottom = box
    factor = int(images.shape[-1] * (right - left) / 512 / size)
    if factor > 1:
        images = F.avg_pool2d(images, factor)
    steps = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) / size
    x = (left + (right - left) * steps) / 256 - 1
    y = (top + (bottom - top) * steps) / 256 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    grid = grid[None].expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")


def jittered(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Shift each picture by up to 2 % of the side and zoom it by up to 4 %, at random.

    A loss that sees one exact crop is fooled in that crop only. `rng` is on the CPU.
    """
    n = len(images)
    dx, dy, zoom = (2 * torch.rand(n, 3, generator=rng) - 1).T
    zero, scale = torch.zeros(n), 1 + 0.04 * zoom
    rows = (torch.stack([scale, zero, 0.04 * dx], 1), torch.stack([zero, scale, 0.04 * dy], 1))
    return warp(images, torch.stack(rows, 1).to(images))
