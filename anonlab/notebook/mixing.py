"""What a generator's inputs do to a face: rows of W+ from another person, truncation, noise.

Style mixing is an idea of StyleGAN (Karras et al. 2019, section 3.1), the truncation of `w` too
(appendix B). Each row of W+ styles the layers of one size, so which rows are exchanged decides
whether shapes or colours are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from ..generators import Generator, MobileStyleGAN, StyleGAN2
from ..generators.base import draw_z
from ..recognizers import Recognizer, distance

GROUPS = {"coarse": 5, "middle": 9}  # the first row that is no longer in the group; the rest is fine


def size_of_row(row: int) -> int:
    """Compute the side in pixels of the features that a row of W+ styles: 4, 8, 8, 16, 16 …"""
    return 4 * 2 ** ((row + 1) // 2)


def row_groups(num_ws: int) -> dict[str, range]:
    """Group all rows of W+ by the size of what they style: `coarse` (4 to 16 pixels), `middle` (32 and
    64) and `fine` (from 128 pixels on, and the colours at the end)."""
    ends = [0, *(min(end, num_ws) for end in GROUPS.values()), num_ws]
    return dict(zip((*GROUPS, "fine"), map(range, ends, ends[1:]), strict=False))


def swapped(ws_a: torch.Tensor, ws_b: torch.Tensor, rows: Iterable[int]) -> torch.Tensor:
    """Give `ws_a (N, num_ws, w_dim)` these rows of `ws_b`, of the same shape."""
    mixed = ws_a.clone()
    mixed[:, [*rows]] = ws_b[:, [*rows]]
    return mixed


@torch.no_grad()
def codes(generator: Generator, seed: int, truncation_psi: float = 0.7) -> torch.Tensor:
    """Make W+ `(1, num_ws, w_dim)` of a generated person, the person of
    `sample_photo("synthetic-SEED")`."""
    return generator.broadcast(generator.mapping(draw_z(generator, seed), truncation_psi))


@torch.no_grad()
def drawn(
    generator: Generator, asked: Mapping[str, torch.Tensor], resolution: int = 256
) -> dict[str, torch.Tensor]:
    """Draw codes by name: `(1, 3, R, R)` each."""
    return {name: generator.synthesis(ws, resolution).clamp(-1, 1) for name, ws in asked.items()}


def swap_groups(generator: Generator, ws_a: torch.Tensor, ws_b: torch.Tensor) -> dict[str, torch.Tensor]:
    """Draw A, A with each group of B's rows, and B: `(1, 3, 256, 256)` each."""
    groups = row_groups(generator.num_ws)
    mixed = {f"{name} rows of B": swapped(ws_a, ws_b, rows) for name, rows in groups.items()}
    return drawn(generator, {"A": ws_a} | mixed | {"B": ws_b})


def swap_rows(generator: Generator, ws_a: torch.Tensor, ws_b: torch.Tensor) -> torch.Tensor:
    """Draw A, and A with one row of B at a time: `(num_ws + 1, 3, 256, 256)`."""
    single = {str(row): swapped(ws_a, ws_b, [row]) for row in range(generator.num_ws)}
    return torch.cat([*drawn(generator, {"A": ws_a} | single).values()])


def ladder(generator: Generator, seed: int, psis: Sequence[float]) -> dict[str, torch.Tensor]:
    """Draw one `z` at several `truncation_psi`: `{"psi 0.7": (1, 3, 256, 256)}`. 0 is the average
    face."""
    return drawn(generator, {f"psi {psi:g}": codes(generator, seed, psi) for psi in psis})


@torch.no_grad()
def noise_pictures(generator: Generator, seed: int) -> dict[str, torch.Tensor]:
    """Draw one person under different noise, `{noise: (1, 3, R, R)}` at the native size.

    A `StyleGAN2` adds the noise of its file (`const`), or other draws, or none. `MobileStyleGAN` has
    its noise among the weights, so there is only with and without.
    """
    ws = codes(generator, seed)
    pictures = {"const": generator.synthesis(ws)}
    if isinstance(generator, StyleGAN2):
        for number, name in enumerate(("random", "random again")):
            rng = torch.Generator(ws.device).manual_seed(number)
            pictures[name] = generator.synthesis(ws, noise_mode="random", rng=rng)
        pictures["none"] = generator.synthesis(ws, noise_mode="none")
    else:
        assert isinstance(generator, MobileStyleGAN), f"{generator.name} has no noise that is known"
        pictures["none"] = without_noise(generator).synthesis(ws)
    return {name: image.clamp(-1, 1) for name, image in pictures.items()}


def without_noise(generator: MobileStyleGAN) -> MobileStyleGAN:
    """Copy a network, in torch, with all of its noise at zero."""
    plain = MobileStyleGAN()
    plain.load_state_dict(generator.state_dict())
    plain = plain.to(generator.w_avg.device).to(memory_format=torch.channels_last).eval()
    for name, parameter in plain.requires_grad_(False).named_parameters():
        if name.endswith(".noise"):
            parameter.zero_()
    return plain


@torch.no_grad()
def changes(recognizer: Recognizer, pictures: torch.Tensor) -> tuple[list[float], list[float]]:
    """Measure how far `pictures (1 + N, 3, R, R)` are from the first of them: the mean change of a
    pixel, of 255, and the recogniser's distance; N of each."""
    first, *others = recognizer.embed(pictures).split(1)
    pixels = (pictures[1:] - pictures[:1]).abs().mean((1, 2, 3)) * 127.5
    return pixels.tolist(), [distance(recognizer, first, other).item() for other in others]
