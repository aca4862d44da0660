"""What happens to a face on its way into a photo: camera, light, compression, things in front.

Everything runs on the device of the pictures and draws from a CPU generator, so that a run is the
same on the same machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..images import blurred, grey, warp

CLEAN = 0.25  # share of pictures whose pose, light and colours are left as they are
# The luminance table of JPEG (ITU-T T.81, Annex K), which its quality scales.
JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True)
class Augmented:
    """Hold pictures as a camera might have them."""

    images: torch.Tensor  # (N, 3, S, S) in [-1, 1]
    maps: torch.Tensor  # (N, 1, s, s), moved with the pictures
    occluded: torch.Tensor  # (N, 1, S, S), 1 where something was put in front
    matrices: torch.Tensor  # (N, 2, 3), how the pictures were moved, see `motion`
    exact: torch.Tensor  # (N,) bool: pose, light and colours are still those of the codes


def uniform(rng: torch.Generator, n: int, low: float, high: float, like: torch.Tensor) -> torch.Tensor:
    """Draw `(n, 1, 1, 1)` numbers from [low, high) on the device of `like`."""
    return (low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)).to(like)


def chance(rng: torch.Generator, n: int, probability: float, like: torch.Tensor) -> torch.Tensor:
    """Draw `(n, 1, 1, 1)` ones with this probability, else zeros."""
    return (torch.rand(n, 1, 1, 1, generator=rng) < probability).to(like)


def augment(
    images: torch.Tensor, maps: torch.Tensor, rng: torch.Generator, clean: float = CLEAN
) -> Augmented:
    """Change `images (N, 3, S, S)` in [-1, 1] and `maps (N, 1, s, s)` of the same faces.

    The share `clean` is neither moved nor recoloured, so that its codes stay true.
    """
    n = len(images)
    moved = 1 - chance(rng, n, clean, images)
    matrices = motion(n, moved, rng)
    images, maps = warp(images, matrices), warp(maps, matrices)
    images = torch.lerp(images, colour(images, rng), moved)
    degraded = degrade(images, rng)
    images = torch.lerp(images, degraded, chance(rng, n, 0.4, images))
    images, occluded = occlude(images, chance(rng, n, 0.15, images), rng)
    return Augmented(images.clamp(-1, 1), maps, occluded, matrices, moved.flatten() == 0)


def motion(n: int, amount: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Turn by ±6°, zoom by ±8 %, shift by ±3 % and flip: what an aligner leaves, and mirrors.

    Matrices `(n, 2, 3)` from where a pixel goes to where it comes from, both in [-1, 1].
    """
    angle = (amount * uniform(rng, n, -0.105, 0.105, amount)).flatten()
    zoom = (1 + amount * uniform(rng, n, -0.08, 0.08, amount)).flatten()
    shift_x, shift_y = ((amount * uniform(rng, n, -0.06, 0.06, amount)).flatten() for _ in range(2))
    mirror = 1 - 2 * (amount * chance(rng, n, 0.5, amount)).flatten()
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = ((mirror * cos, -mirror * sin, shift_x), (sin, cos, shift_y))
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def warp_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Move `points (N, P, 2)` in [0, 1] of the side as `warp` moves the picture."""
    from_there = (2 * points - 1) - matrices[:, None, :, 2]
    there = torch.linalg.solve(matrices[:, :, :2], from_there.mT).mT
    return (there + 1) / 2


def colour(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change exposure, contrast, saturation and white balance."""
    n = len(images)
    gain = torch.exp(0.12 * torch.randn(n, 3, 1, 1, generator=rng)).to(images)
    gamma = torch.exp(uniform(rng, n, -0.25, 0.25, images))
    saturation = uniform(rng, n, 0.4, 1.3, images)
    contrast = uniform(rng, n, 0.8, 1.2, images)
    x = ((images.clamp(-1, 1) + 1) / 2 * gain).clamp(1e-4, 1) ** gamma
    x = torch.lerp(grey(x), x, saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * contrast + mean) * 2 - 1


def degrade(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Add a soft lens, sensor noise and JPEG."""
    n = len(images)
    x = torch.lerp(images, blurred(images, 1.5), uniform(rng, n, 0, 1, images))
    sigma = uniform(rng, n, 0, 0.06, images)
    x = x + sigma * noise(images, rng)
    return jpeg(x, uniform(rng, n, 20, 90, images))


def noise(like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Draw standard normal noise on the device: a CPU would take longer than the GPU's step."""
    seed = int(torch.randint(2**62, (1,), generator=rng))
    there = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=there, device=like.device)


def jpeg(images: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Lose what JPEG loses: 8×8 cosine transform, quantised. `quality (N, 1, 1, 1)` 1–100.

    Colour is not subsampled. Sides are multiples of 8.
    """
    n, c, height, width = images.shape
    k = torch.arange(8, device=images.device, dtype=images.dtype)
    basis = torch.cos((2 * k + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= 2**0.5
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50).view(n, 1, 1, 1, 1, 1)
    table = images.new_tensor(JPEG_TABLE)[:, None, :] * scale  # (N, 1, 1, 8, 1, 8)
    table = table.round().clamp_min(1)
    blocks = (images * 127.5 - 0.5).reshape(n, c, height // 8, 8, width // 8, 8)
    spectrum = torch.einsum("ui,ncaibj,vj->ncaubv", basis, blocks, basis)
    spectrum = (spectrum / table).round() * table
    blocks = torch.einsum("ui,ncaubv,vj->ncaibj", basis, spectrum, basis)
    return (blocks.reshape(images.shape) + 0.5) / 127.5


def occlude(
    images: torch.Tensor, amount: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paint a blurred ellipse of one colour before the face: a hand, a microphone, a strap."""
    n, size = len(images), images.shape[-1]
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, size, device=images.device)] * 2, indexing="ij")
    x, y = (uniform(rng, n, -1, 1, images) for _ in range(2))
    a, b = (uniform(rng, n, 0.1, 0.5, images) for _ in range(2))
    inside = (((u - x) / a) ** 2 + ((v - y) / b) ** 2 < 1).to(images) * amount
    paint = (2 * torch.rand(n, 3, 1, 1, generator=rng) - 1).to(images)
    return torch.lerp(images, paint.expand_as(images), blurred(inside, 1.0)), inside
