"""What a generator's inputs do to a face: rows of W+ from another person, and truncation.

Both are ideas of StyleGAN (Karras et al. 2019, section 3.1 and appendix B). Each row of W+ styles the
layers of one size, so which rows are exchanged decides whether shapes or colours are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from matplotlib.figure import Figure

from ..generators import Generator
from ..generators.base import draw_z
from ..recognizers import Recognizer, distance

# the first row that is no longer in the group, and its colour; the rest is fine
GROUPS = {"coarse": (5, "#2e86ab"), "middle": (9, "#e28413"), "fine": (99, "#7d5ba6")}


def row_groups(num_ws: int) -> dict[str, range]:
    """Group all rows of W+ by the size of what they style: `coarse` (4 to 16 pixels), `middle` (32 and
    64) and `fine` (from 128 pixels on, and the colours at the end)."""
    ends = [0, *(min(end, num_ws) for end, _ in GROUPS.values())]
    return dict(zip(GROUPS, map(range, ends, ends[1:]), strict=False))


def swapped(ws_a: torch.Tensor, ws_b: torch.Tensor, rows: Iterable[int]) -> torch.Tensor:
    """Give `ws_a (N, num_ws, w_dim)` these rows of `ws_b`, of the same shape."""
    mixed = ws_a.clone()
    mixed[:, [*rows]] = ws_b[:, [*rows]]
    return mixed


@torch.no_grad()
def codes(generator: Generator, seed: int, truncation_psi: float = 0.7) -> torch.Tensor:
    """Make W+ `(1, num_ws, w_dim)` of the person of `sample_photo("synthetic-SEED")`."""
    return generator.broadcast(generator.mapping(draw_z(generator, seed), truncation_psi))


@torch.no_grad()
def drawn(generator: Generator, asked: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Draw codes by name: `(1, 3, 256, 256)` each."""
    return {name: generator.synthesis(ws, 256).clamp(-1, 1) for name, ws in asked.items()}


def swap_groups(generator: Generator, ws_a: torch.Tensor, ws_b: torch.Tensor) -> dict[str, torch.Tensor]:
    """Draw A, A with each group of B's rows, and B: `(1, 3, 256, 256)` each."""
    groups = row_groups(generator.num_ws)
    mixed = {f"{name} rows of B": swapped(ws_a, ws_b, rows) for name, rows in groups.items()}
    return drawn(generator, {"A": ws_a} | mixed | {"B": ws_b})


@torch.no_grad()
def changes(recognizer: Recognizer, pictures: torch.Tensor) -> tuple[list[float], list[float]]:
    """Measure how far `pictures (1 + N, 3, R, R)` are from the first of them: the mean change of a
    pixel, of 255, and the recogniser's distance; N of each."""
    first, *others = recognizer.embed(pictures).split(1)
    pixels = (pictures[1:] - pictures[:1]).abs().mean((1, 2, 3)) * 127.5
    return pixels.tolist(), [distance(recognizer, first, other).item() for other in others]


def row_changes_figure(pixels: Sequence[float], distances: Sequence[float], threshold: float) -> Figure:
    """Draw what exchanging a single row of W+ changes: bars of pixels (of 255) and of recogniser
    distance, one for each row, coloured by group; the dashed line is the recogniser's threshold."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    labels = "pixels: mean change of 255", "identity: distance to A"
    for axis, values, label in zip(axes, (pixels, distances), labels, strict=True):
        for name, rows in row_groups(len(values)).items():
            axis.bar(rows, [values[row] for row in rows], color=GROUPS[name][1], label=name)
        axis.set_ylabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].axhline(threshold, color="black", ls="--", lw=1)
    sizes = [f"{row}\n{4 * 2 ** ((row + 1) // 2)} px" for row in range(len(pixels) - 1)]
    axes[1].set_xticks(range(len(pixels)), [*sizes, f"{len(sizes)}\nRGB"], fontsize=8)
    axes[1].set_xlabel("row of W+, and the size of the features that it styles")
    axes[0].legend(frameon=False, ncols=3, loc="upper center")
    return figure
