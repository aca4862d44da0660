"""Figures of what a generator's inputs do, and the same photo by several generators.

A draw `z` means another person in every network that was trained by itself, so what two generators
can always be compared on is a photo, and what each takes for the average face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..generators import Generator
from ..images import FACE_SIZE
from ..results import FaceResult
from .mixing import codes, drawn, row_groups, size_of_row
from .plots import gallery

COLOURS = {"coarse": "#2e86ab", "middle": "#e28413", "fine": "#7d5ba6"}
CROP = (0.05, 0.2, 0.45)  # top, left and side of the close-up, as shares of the picture: hair and brow
GAIN = 4  # by which a difference is multiplied to be seen


def strips_figure(strips: Mapping[str, Mapping[str, torch.Tensor]]) -> Figure:
    """Draw rows of titled pictures, `{row: {title: (1, 3, S, S)}}`, equally many in each."""
    titles = [title for strip in strips.values() for title in strip]
    images = [image for strip in strips.values() for image in strip.values()]
    return gallery(images, titles, len(images) // len(strips), [*strips])


def row_changes_figure(pixels: Sequence[float], distances: Sequence[float], threshold: float) -> Figure:
    """What exchanging a single row of W+ changes: bars of pixels (of 255) and of recogniser distance,
    one for each row, coloured by group."""
    groups = {row: name for name, rows in row_groups(len(pixels)).items() for row in rows}
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    labels = "pixels: mean change of 255", "identity: distance to A"
    for axis, values, label in zip(axes, (pixels, distances), labels, strict=True):
        axis.bar(range(len(values)), values, color=[COLOURS[groups[row]] for row in range(len(values))])
        axis.set_ylabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].axhline(threshold, color="black", ls="--", lw=1)
    axes[1].annotate(
        f"threshold {threshold:g}: above it, somebody else", (len(pixels) - 0.5, threshold),
        xytext=(0, -4), textcoords="offset points", va="top", ha="right", fontsize=9,
    )  # fmt: skip
    last = len(pixels) - 1  # styles the colours only
    names = [f"{row}\n{f'{size_of_row(row)} px' if row < last else 'RGB'}" for row in range(last + 1)]
    axes[1].set_xticks(range(last + 1), names, fontsize=8)
    axes[1].set_xlabel("row of W+, and the size of the features that it styles")
    handles = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    axes[0].legend(handles=handles, frameon=False, ncols=3, loc="upper center")
    return figure


def noise_figure(pictures: Mapping[str, torch.Tensor]) -> Figure:
    """Draw the same codes under different noise, a close-up of each, and the difference of the last to
    the first, enlarged in contrast (grey is none)."""
    first, *_, last = pictures
    difference = ((pictures[last] - pictures[first]) * GAIN).clamp(-1, 1)
    every = {**pictures, f"“{last}” minus “{first}”, {GAIN} ×": difference}
    top, left, side = (round(share * difference.shape[-1]) for share in CROP)
    close = {name: one[..., top : top + side, left : left + side] for name, one in every.items()}
    return strips_figure({"the face": every, "close up": close})


def pictures_of(generator: Generator, made: FaceResult, seeds: Sequence[int]) -> dict[str, torch.Tensor]:
    """Draw what a generator made of a photo, its average face and people: `{title: (1, 3, R, R)}`."""
    wanted = {"the average face": codes(generator, 0, truncation_psi=0.0)}
    wanted |= {f"draw {seed}": codes(generator, seed) for seed in seeds}
    said = "no face found" if isnan(made.distance) else f"distance {made.distance:.2f}"
    return {f"regenerated: {said}": made.anonymized} | drawn(generator, wanted, FACE_SIZE)
