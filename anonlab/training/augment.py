"""What happens to a face on its way into a photo: camera, light, compression, things in front.

Everything runs on the device of the pictures and draws from a CPU generator, so that a run is the
same on the same machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.transforms.v2.functional import jpeg

from ..images import blurred, from_bytes, grey, to_bytes, warp

CLEAN = 0.25  # share of pictures whose pose, light and colours are left as they are
DEGRADED, OCCLUDED = 0.4, 0.15  # shares of pictures


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
    for number in chance(rng, n, DEGRADED, images).flatten().nonzero().flatten().tolist():
        images[number] = degrade(images[number : number + 1], rng)[0]
    images, occluded = occlude(images, chance(rng, n, OCCLUDED, images), rng)
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


def degrade(image: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Add a soft lens, sensor noise and JPEG to `image (1, 3, S, S)`."""
    soft, sigma = uniform(rng, 1, 0, 1, image), uniform(rng, 1, 0, 0.06, image)
    seed = int(torch.randint(2**62, (), generator=rng))
    noise = torch.Generator(image.device).manual_seed(seed)  # the CPU's would take longer than a step
    x = torch.lerp(image, blurred(image, 1.5), soft)
    x = x + sigma * torch.randn(x.shape, generator=noise, device=x.device)
    quality = int(torch.randint(20, 91, (), generator=rng))
    return from_bytes(jpeg(to_bytes(x).cpu(), quality)).to(image)


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
