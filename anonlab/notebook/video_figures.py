"""The figure of a clip: frames before and after, and who the recogniser sees over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .plots import PICTURE_INCHES

BEFORE, AFTER, LIMIT = "#2e86ab", "#c44e52", "#666666"


def clip_figure(
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    numbers: Sequence[int],
    to_person: Sequence[float],
    own: Sequence[float],
    new: Sequence[float],
    threshold: float,
) -> Figure:
    """A strip of frames `(H, W, 3)` uint8 with their `numbers`, and two curves over all frames.

    `to_person` is the recogniser's distance of each new face to the person, with its `threshold`; `own`
    and `new` are the cosines of neighbouring frames in the original and in the result, one fewer.
    """
    height, width = before[0].shape[:2]
    wide = PICTURE_INCHES * 1.1
    tall = wide * height / width
    figure = Figure(figsize=(wide * len(numbers), 2 * tall + 3.0), layout="constrained")
    grid = figure.add_gridspec(3, len(numbers), height_ratios=(tall, tall, 2.7))
    for row, (name, pictures) in enumerate((("clip", before), ("anonymized", after))):
        for column, (number, pixels) in enumerate(zip(numbers, pictures, strict=True)):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(pixels)
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"frame {number}", fontsize=10)
            if column == 0:
                axis.set_ylabel(name, fontsize=11)
    half = max(1, len(numbers) // 2)
    left = figure.add_subplot(grid[2, :half])
    left.plot(to_person, "o-", ms=3, color=AFTER, label="new face to the person")
    left.axhline(threshold, color=LIMIT, lw=1, ls="--", label="below: recognised")
    left.set(xlabel="frame", ylabel="distance", ylim=(0, None))
    right = figure.add_subplot(grid[2, half:])
    right.plot(np.arange(len(own)) + 0.5, own, "o-", ms=3, color=BEFORE, label="clip")
    right.plot(np.arange(len(new)) + 0.5, new, "o-", ms=3, color=AFTER, label="anonymized")
    right.set(xlabel="frame", ylabel="cosine of neighbouring frames")
    for axis, number in ((axis, number) for axis in (left, right) for number in numbers):
        axis.axvline(number, color="#e3e6e9", lw=0.8, zorder=0)
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
