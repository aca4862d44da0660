"""Figures. Every function takes results and returns a `Figure`; nothing is shown or kept open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.metrics import ConfusionMatrixDisplay

from ..images import resize, to_uint8
from ..perception.masks import masked_face
from ..photo.faces import Face
from ..photo.photos import Photo

if TYPE_CHECKING:
    from ..results import FaceResult

PAGE_INCHES = 11.8  # width of a gallery: in three columns a picture has 370 pixels of a page
HEAT = "inferno"
RED, BLUE = "#c0392b", "#2e86ab"


def one_axis(width: float, height: float, *hidden: str, **labels: str) -> tuple[Figure, Axes]:
    """Return a figure of these inches with one axis, without its spines on the `hidden` sides; with an
    `xlabel` and a `ylabel`, if given."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots(subplot_kw=labels)
    if hidden:
        axis.spines[[*hidden]].set_visible(False)
    return figure, axis


def picture(image: torch.Tensor, side: int = 512) -> np.ndarray:
    """Convert an aligned image tensor to `(side, side, 3)` uint8 for showing."""
    return to_uint8(resize(image.cpu(), side))


def overlay(image: torch.Tensor, heat: torch.Tensor, side: int = 512) -> np.ndarray:
    """Show `heat (1, 1, h, w)` in [0, 1] as colour over a darkened `image (1, 3, S, S)`."""
    import matplotlib

    values = resize(heat.cpu(), side)[0, 0].clamp(0, 1).numpy()
    colours = matplotlib.colormaps[HEAT](values)[..., :3]
    alpha = np.clip(values * 1.6, 0, 0.85)[..., None]
    base = picture(image, side) / 255 * 0.8
    return ((base * (1 - alpha) + colours * alpha) * 255).astype(np.uint8)


def faces_figure(photo: Photo, faces: Sequence[Face]) -> Figure:
    """Draw the photo with a box and five points for each face that was found."""
    width, height = photo.size
    figure, axis = one_axis(7, 7 * height / width)
    axis.imshow(photo.pixels)
    for number, face in enumerate(faces, 1):
        left, top, right, bottom = face.box
        size = right - left, bottom - top
        axis.add_patch(Rectangle((left, top), *size, fill=False, color="#ffcc33", lw=2))
        axis.plot(*face.points.T, "o", color="#33ddff", ms=4)
        behind = {"facecolor": "black", "alpha": 0.75, "pad": 2, "lw": 0}
        said = f"{number}: {face.confidence:.3f}"
        axis.text(left, top - 6, said, color="white", va="bottom", bbox=behind)
    axis.set_axis_off()
    return figure


def gallery(
    images: Sequence, titles: Sequence[str] = (), columns: int = 4, rows: Sequence[str] = ()
) -> Figure:
    """Show pictures as large as the page: aligned tensors, arrays or PIL images, with a title each, and
    a name of each of the `rows`."""
    columns = min(columns, len(images))
    side, lines = PAGE_INCHES / max(2, columns), -(-len(images) // columns)
    shown = [picture(one) if isinstance(one, torch.Tensor) else np.asarray(one) for one in images]
    height = side * max(one.shape[0] / one.shape[1] for one in shown) + 0.6
    figure = Figure(figsize=(side * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False, anchor="S")  # room for titles of two lines
    for axis, image in zip(axes.flat, shown, strict=False):
        axis.imshow(image)
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=11 if side < 4 else 14)
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(name, fontsize=11)
    return figure


def stages_figure(results: Sequence[FaceResult]) -> Figure:
    """Show one row a face: original, attribution, what stays, what was generated, the result."""
    images, titles = [], []
    for one in results:
        images += [one.aligned, overlay(one.aligned, one.attribution)]
        images += [masked_face(one.aligned.cpu(), one.mask.cpu()), one.generated, one.anonymized]
        verdict = "matched" if one.matched else "not matched"
        titles += ["original", "1 attribution", "2 what stays", "3 regenerated"]
        titles += [f"anonymized: {verdict}\ndistance {one.distance:.2f}, threshold {one.threshold}"]
    return gallery(images, titles, columns=5)


def bars_figure(
    values: Mapping[str, float], line: float, label: str, colours: tuple[str, str] = (RED, BLUE)
) -> Figure:
    """Draw bars of numbers beside a dashed line: `colours` of those below it and above."""
    figure, axis = one_axis(7, 0.7 + 0.35 * len(values), "top", "right", xlabel=label)
    bars = axis.barh([*values], [*values.values()], color=[colours[x >= line] for x in values.values()])
    axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    axis.axvline(line, color="black", ls="--", lw=1)
    axis.invert_yaxis()
    return figure


def distance_figure(names: Sequence[str], distances: Sequence[float], threshold: float) -> Figure:
    """Draw bars of recogniser distances with the threshold drawn: left of it is the same person."""
    label = "distance to the original (red, below the threshold: taken for the same person)"
    return bars_figure(dict(zip(names, distances, strict=True)), threshold, label)


def curves_figure(
    x: Sequence[float],
    curves: dict[str, Sequence[float]],
    labels: tuple[str, str],
    threshold: float | None = None,
) -> Figure:
    """Draw lines over a common x, each with a name; optionally a horizontal threshold."""
    figure, axis = one_axis(6, 3.6, "top", "right", xlabel=labels[0], ylabel=labels[1])
    for name, values in curves.items():
        axis.plot(x, values, marker="o", ms=3, label=name)
    if threshold is not None:
        axis.axhline(threshold, color="black", ls="--", lw=1, label="threshold")
    if axis.get_ylim()[0] > 0:
        axis.set_ylim(0, 1.1 * axis.get_ylim()[1])  # a cut axis makes small differences look large
    axis.legend(frameon=False)
    return figure


def intervals_figure(
    groups: Mapping[str, Mapping[str, tuple[float, float, float]]], line: float, label: str
) -> Figure:
    """Draw means with their intervals, `{group: {name: (mean, low, high)}}`: a line for each name, in it
    a point for each group that has it; `line` is what means are compared with."""
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows))
    figure, axis = one_axis(8, 1 + 0.42 * len(names), "top", "right", xlabel=label)
    for number, (group, rows) in enumerate(groups.items()):
        at = [names.index(name) + 0.2 * (number - (len(groups) - 1) / 2) for name in rows]
        mean, low, high = np.array([*rows.values()]).T
        sides = (mean - low).clip(0), (high - mean).clip(0)
        axis.errorbar(mean, at, xerr=sides, fmt="o", ms=5, lw=1, capsize=2, label=group)
    axis.axvline(line, color="black", lw=1, ls="--")
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return figure


def histogram_figure(
    values: Sequence[float], threshold: float, marks: dict[str, float], label: str
) -> Figure:
    """Draw how often each value occurs, with a threshold, and single values marked by name."""
    figure, axis = one_axis(9, 2.8, "top", "right", "left", xlabel=label)
    axis.hist(values, bins=80, color="#9db4c0")
    axis.axvline(threshold, color="black", ls="--", lw=1, label=f"threshold {threshold:g}")
    for number, (name, value) in enumerate(marks.items()):
        axis.axvline(value, color=f"C{number + 1}", lw=2, label=name)
    axis.set_yticks([])
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    return figure


def training_figure(log: list[dict], validation: list[dict]) -> Figure:
    """Draw a training's losses and validation numbers over its steps: a small plot for each that has a
    curve of at least three points.

    `log` and `validation` are rows with a `step`, as in `log.json`.
    """
    curves = [
        (f"{kind}: {name}", colour, points)
        for kind, rows, colour in (("loss", log, "C0"), ("validation", validation, "C1"))
        for name in dict.fromkeys(name for row in rows for name in row)
        if name not in ("step", "images", "lr")
        if len(points := [(row["step"], row[name]) for row in rows if name in row]) > 2
    ]
    columns = 2 if len(curves) <= 4 else 4
    lines = max(1, -(-len(curves) // columns))
    figure = Figure(figsize=(12, 9 / columns * lines), layout="constrained")
    for number, (title, colour, points) in enumerate(curves, 1):
        axis = figure.add_subplot(lines, columns, number)
        axis.plot(*zip(*points, strict=True), "o-", ms=2, c=colour)
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    return figure


def matrix_figure(matrix: dict[str, dict[str, float]], title: str) -> Figure:
    """Draw a square table `{row: {column: number}}` of numbers from 0 to 1, as colours with its
    numbers."""
    labels = [name.replace("_", " ") for name in matrix]
    figure, axis = one_axis(1.6 + 0.62 * len(labels), 1.2 + 0.5 * len(labels), title=title)
    values = np.array([[*row.values()] for row in matrix.values()])
    ConfusionMatrixDisplay(values, display_labels=labels).plot(
        ax=axis, values_format=".2f", colorbar=False,
        im_kw={"vmin": 0, "vmax": 1}, text_kw={"fontsize": 7},
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")
    axis.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    return figure
