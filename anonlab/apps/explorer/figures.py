"""What the explorer shows of one face under one setting, drawn fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import binary_erosion

from ...figures.plots import overlay, picture
from ...images import resize

SIDE = 256  # pixels of a face in the explorer


@dataclass(frozen=True)
class View:
    """One face under one setting."""

    image: torch.Tensor  # (1, 3, 256, 256)
    attribution: torch.Tensor  # (1, 1, 256, 256)
    mask: torch.Tensor  # (1, 1, 256, 256)
    masked: torch.Tensor  # (1, 3, 256, 256), what stays
    share: float  # of the aligned picture that is regenerated
    share_of_face: float  # the same of the face, which fills about a third of that picture
    distance: float  # to the person, when the masked part is blurred
    threshold: float
    preview: torch.Tensor | None = None  # (1, 3, 256, 256), the composite in one pass
    preview_distance: float | None = None  # to the person

    @property
    def shares(self) -> str:
        """Both shares that the mask covers, each with its name."""
        return f"{self.share:.0%} of the aligned picture, {self.share_of_face:.0%} of the face"

    def __str__(self) -> str:
        """The numbers in a sentence."""
        text = f"mask: {self.shares}; distance {self.distance:.2f} blurred"
        if self.preview_distance is not None:
            text += f", {self.preview_distance:.2f} in the preview"
        return f"{text}; a match is below {self.threshold:g}"


def _faces_and_bars() -> tuple[Figure, np.ndarray]:
    """Two faces and a place for bars; drawn fast, so without a layout engine."""
    figure = Figure(figsize=(9.0, 3.4), dpi=80)
    axes = figure.subplots(1, 3, gridspec_kw={"width_ratios": (1, 1, 0.8)})
    figure.subplots_adjust(0.01, 0.13, 0.97, 0.9, wspace=0.08)
    return figure, axes


def mask_figure(view: View) -> Figure:
    """Where the identity is, what stays, and how far that is from the person."""
    figure, axes = _faces_and_bars()
    axes[0].imshow(mask_overlay_with_heat(view))
    axes[0].set_title("identity, and the mask's edge", fontsize=10)
    axes[1].imshow(picture(view.masked, SIDE))
    axes[1].set_title(f"what stays: {1 - view.share_of_face:.0%} of the face", fontsize=10)
    for axis in axes[:2]:
        axis.set_axis_off()
    distance_axis(axes[2], {"mask blurred": view.distance}, view.threshold)
    return figure


def preview_figure(view: View) -> Figure:
    """The face before and after one pass, and both distances to the person."""
    assert view.preview is not None and view.preview_distance is not None
    figure, axes = _faces_and_bars()
    for axis, image, title in zip(
        axes, (view.image, view.preview), ("the person", "preview of the new face"), strict=False
    ):
        axis.imshow(picture(image, SIDE))
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    bars = {"mask blurred": view.distance, "preview": view.preview_distance}
    distance_axis(axes[2], bars, view.threshold)
    return figure


def distance_axis(axis: Axes, distances: dict[str, float], threshold: float) -> None:
    """Bars of distances to the person, with the recogniser's threshold; green is not matched."""
    colours = ["#1e7e45" if value >= threshold else "#b03a2e" for value in distances.values()]
    axis.barh(list(distances), list(distances.values()), color=colours, height=0.5)
    axis.axvline(threshold, color="black", ls="--", lw=1)
    axis.set(xlim=(0, 1.2), ylim=(len(distances) - 0.4, -0.6))
    axis.set_title(f"distance (match below {threshold:g})", fontsize=10)
    axis.tick_params(labelsize=8)
    for row, (name, value) in enumerate(distances.items()):
        axis.text(0.03, row - 0.33, name, fontsize=8, va="bottom")
        axis.text(min(value, 1.0) + 0.02, row, f"{value:.2f}", fontsize=9, va="center")
    axis.set_yticks([])


def mask_overlay_with_heat(view: View) -> np.ndarray:
    """The face under its heat map, with the mask's edge in white."""
    drawn = overlay(view.image, view.attribution, SIDE).copy()
    inside = resize(view.mask, SIDE)[0, 0].cpu().numpy() > 0.5
    edge = inside ^ binary_erosion(inside, iterations=2)
    drawn[edge] = 255
    return drawn
