"""Tensor helpers for pictures: resize, blur, warp, paste, to and from 8 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

FACE_SIZE = 256  # pixels of an aligned face where networks and losses look at it
LUMA = (0.299, 0.587, 0.114)  # Rec. 601: what red, green and blue add to brightness
COLOR_GRID = 16  # pixels of the picture that says pose, light and colours only
SHIFTED = 9  # reach of a Gaussian up to which a CPU is fastest with shifted copies of a channel


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize `(N, C, S, S)` to `(N, C, size, size)`: means downwards, bilinear upwards."""
    if images.shape[-1] == size:
        return images
    if images.shape[-1] % size == 0:
        return F.avg_pool2d(images, images.shape[-1] // size)
    smaller = images.shape[-1] > size
    return F.interpolate(
        images, size=(size, size), mode="bilinear", align_corners=False, antialias=smaller
    )


def grey(images: torch.Tensor, weights: Sequence[float] = LUMA) -> torch.Tensor:
    """Weigh the colours of `images (N, 3, H, W)` to their brightness `(N, 1, H, W)`."""
    red, green, blue = (images[:, at, None] * weight for at, weight in enumerate(weights))
    return red + green + blue


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur `images (N, C, S, S)` by a Gaussian of `sigma` pixels; edges are continued.

    By a matrix for each side, which is faster than to convolve one channel at a time, up to 1024 pixels;
    on a CPU a small one by shifted copies.
    """
    reach = int(3 * sigma)
    steps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-steps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    if images.device.type == "cpu" and reach <= SHIFTED:
        channels = images.flatten(0, 1)[:, None].split(1)  # each stays in the processor's cache
        return torch.cat([_shifted(one, kernel) for one in channels]).reshape(images.shape)
    down, across = (blur_matrix(kernel, size) for size in images.shape[2:])
    return down @ images @ across.mT


def _shifted(channel: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve `channel (1, 1, H, W)` with the odd, symmetric `kernel (2r + 1,)` along both sides."""
    *weights, middle = kernel[: len(kernel) // 2 + 1].tolist()
    reach = len(weights)
    for axis, pad in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        size, padded = channel.shape[axis], F.pad(channel, pad, "replicate")
        channel = middle * padded.narrow(axis, reach, size)
        for at, weight in enumerate(weights):
            both = padded.narrow(axis, at, size) + padded.narrow(axis, 2 * reach - at, size)
            channel = channel.add(both, alpha=weight)
    return channel


def blur_matrix(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """Build what multiplies a line of `size` pixels to convolve it with the odd `kernel (2r + 1,)`; its
    ends are continued: `(size, size)`."""
    reach = len(kernel) // 2
    row = torch.arange(size, device=kernel.device)[:, None]
    columns = (row + torch.arange(-reach, reach + 1, device=kernel.device)).clamp(0, size - 1)
    matrix = kernel.new_zeros(size, size)
    return matrix.scatter_add_(1, columns, kernel.expand(size, -1))


def warp(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Sample `images (N, C, S, S)` at `matrices (N, 2, 3)` times each place; continue the edges."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")


def pasted(image: torch.Tensor, over: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mix `image (N, 3, S, S)` and `over`, by a `mask (N, 1, S, S)` that is 1 where `over` shows."""
    return image + mask * (over - image)


def to_bytes(images: torch.Tensor) -> torch.Tensor:
    """Convert images in [-1, 1] (clamped) to uint8 of the same shape, rounded to the nearest."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def truncated_bytes(images: torch.Tensor) -> torch.Tensor:
    """Convert like `to_bytes`, rounded down (the population was labelled on such pictures)."""
    return ((images.clamp(-1, 1) + 1) * 127.5).to(torch.uint8)


def from_bytes(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 of any shape to [-1, 1]."""
    return images.float() / 127.5 - 1


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """Convert `(1, 3, H, W)` or `(3, H, W)` in [-1, 1] to `(H, W, 3)` uint8."""
    image = to_bytes(images.detach().reshape(images.shape[-3:]))
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Convert `(H, W, 3)` uint8 to `(1, 3, H, W)` in [-1, 1]."""
    return from_bytes(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None])
