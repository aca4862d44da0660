"""Figures of stage 1: a path and its attributions, differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..images import resize
from ..perception.attribution import AttributionInputs, integrated_gradients
from ..perception.perception import as_map
from .plots import HEAT, gallery, one_axis, overlay, picture

SHOWN = 256  # pixels of a map
POINTS = 21  # of the drawn path


def integration_figure(inquiry: AttributionInputs, steps: int, baseline: str) -> Figure:
    """Integrated gradients from one baseline in that many steps: where the path starts, how the score
    rises along it, the map, and how much of the rise the attributions add up to.

    Raises `UnknownOption` for a baseline that does not exist or lacks what it needs.
    """
    inquiry = replace(
        inquiry, steps=steps, baseline=baseline, rng=torch.Generator().manual_seed(0)
    )  # the same noise for the path and for its end
    start, score = inquiry.baseline_image(), inquiry.score()
    signed = integrated_gradients(replace(inquiry, rng=torch.Generator().manual_seed(0)))
    alphas = torch.linspace(0, 1, POINTS)
    with torch.no_grad():
        points = start + alphas.view(-1, 1, 1, 1) * (inquiry.image - start)
        scores = torch.cat([score(part) for part in points.split(8)])
    share = (signed.sum() / (scores[-1] - scores[0])).item()
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    first, curve, last = figure.subplots(1, 3)
    for axis, image, title in (
        (first, picture(start), f"start: {baseline}, score {scores[0]:.2f}"),
        (last, overlay(inquiry.image, as_map(signed)), "where the rise comes from"),
    ):
        axis.imshow(image)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    curve.plot(alphas, scores, color="#2e86ab")
    nodes = (np.polynomial.legendre.leggauss(steps)[0] + 1) / 2
    curve.plot(nodes, [0] * steps, "|", color="black", ms=8, label="slopes are taken here")
    curve.set(xlabel="α: 0 is the start, 1 the face", ylabel="score")
    curve.set_ylim(min(-0.05, scores.min().item()), 1.08)
    curve.legend(frameon=False, fontsize=8, loc="upper left")
    curve.set_title(f"{steps} slopes add up to {share:.1%} of the rise", fontsize=10)
    curve.spines[["top", "right"]].set_visible(False)
    return figure


def attribution_figure(image: torch.Tensor, signed: torch.Tensor, heat: torch.Tensor) -> Figure:
    """From signed attributions to heat: the face, `signed (1, 3, S, S)` summed over colours, its
    absolute values smoothed, `heat (1, 1, S, S)`, and that over the face; with colour bars."""
    summed, heated = (resize(one, SHOWN)[0, 0].numpy() for one in (signed.sum(1, keepdim=True), heat))
    most = np.quantile(np.abs(summed), 0.998)  # single pixels would leave the rest grey
    both_signs, hot = (
        ScalarMappable(Normalize(low, high), colours)
        for low, high, colours in ((-most, most, "RdBu_r"), (0, 1, HEAT))
    )
    titles = ["the face", "attribution per pixel,\nsummed over colours",
              "heat: |attribution|,\nsmoothed, maximum 1", "heat over the face"]  # fmt: skip
    pictures = [image, both_signs.to_rgba(summed), hot.to_rgba(heated), overlay(image, heat)]
    figure = gallery(pictures, titles)
    for axis, scale in zip(figure.axes[1:], (both_signs, hot, hot), strict=True):
        figure.colorbar(scale, ax=axis, shrink=0.8, format="%.1g")
    return figure


def differences_figure(
    x: Sequence[float], differences: Mapping[str, Sequence[tuple[float, float, float]]], label: str
) -> Figure:
    """Means with their intervals, `{name: [(mean, low, high), …]}` over `x`: zero is no difference."""
    figure, axis = one_axis(7, 3.6, "top", "right", ylabel=label)
    axis.set_xlabel("share of the aligned picture that is blurred")
    for number, (name, rows) in enumerate(differences.items()):
        mean, low, high = np.array(rows).T
        at = np.arange(len(x)) + 0.14 * (number - (len(differences) - 1) / 2)
        axis.errorbar(at, mean, (mean - low, high - mean), fmt="o", ms=4, capsize=3, label=name)
    axis.axhline(0, color="black", lw=1)
    axis.set_xticks(range(len(x)), [f"{value:.0%}" for value in x])
    axis.legend(frameon=False, fontsize=9)
    return figure
