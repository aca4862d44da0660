"""Figures of what a generator's inputs do, made from pictures and numbers of `mixing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..regeneration.mixing import row_groups, size_of_row
from .plots import PICTURE_INCHES, picture

COLOURS = {"coarse": "#2e86ab", "middle": "#e28413", "fine": "#7d5ba6"}
GREY = np.full((8, 8, 3), 232, np.uint8)  # in the place of a picture that is not there
CROP = (0.05, 0.2, 0.45)  # top, left and side of the close-up, as shares of the picture: hair and brow
GAIN = 4  # by which a difference is multiplied to be seen


def strips_figure(strips: Mapping[str, Mapping[str, torch.Tensor | None]], missing: str = "") -> Figure:
    """Rows of titled pictures, `{row: {title: (1, 3, S, S)}}`; in the place of None is a grey square
    with `missing` in it, which says why there is nothing to see."""
    columns = max(len(strip) for strip in strips.values())
    figure = Figure(
        figsize=(PICTURE_INCHES * columns, (PICTURE_INCHES + 0.25) * len(strips)), layout="constrained"
    )
    axes = figure.subplots(len(strips), columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row, (name, strip) in zip(axes, strips.items(), strict=True):
        row[0].set_ylabel(name, fontsize=11)
        for axis, (title, image) in zip(row, strip.items(), strict=False):
            axis.imshow(GREY if image is None else picture(image))
            axis.set_title(title, fontsize=10)
            if image is None:
                axis.text(0.5, 0.5, missing, transform=axis.transAxes, ha="center", va="center", c="C3")
    return figure


def row_changes_figure(pixels: Sequence[float], distances: Sequence[float], threshold: float) -> Figure:
    """What exchanging a single row of W+ changes: bars of pixels (of 255) and of recogniser distance,
    one for each row, coloured by group."""
    groups = {row: name for name, rows in row_groups(len(pixels)).items() for row in rows}
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    bars = zip(
        axes,
        (pixels, distances),
        ("pixels: mean change of 255", "identity: distance to A"),
        strict=True,
    )
    for axis, values, label in bars:
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


def noise_figure(pictures: Mapping[str, torch.Tensor | None], missing: str = "") -> Figure:
    """Pictures of the same codes under different noise, a close-up of each, and the difference of the
    last to the first, enlarged in contrast (grey is none); `missing` as in `strips_figure`."""
    first, *_, last = pictures
    title = f"“{last}” minus “{first}”, {GAIN} ×"
    if pictures[first] is None:
        empty = dict.fromkeys((*pictures, title))
        return strips_figure({"the face": empty, "close up": empty}, missing)
    every = {**pictures, title: ((pictures[last] - pictures[first]) * GAIN).clamp(-1, 1)}
    close = {name: _close_up(image) for name, image in every.items()}
    return strips_figure({"the face": every, "close up": close})


def _close_up(image: torch.Tensor) -> torch.Tensor:
    top, left, side = (round(share * image.shape[-1]) for share in CROP)
    return image[..., top : top + side, left : left + side]
