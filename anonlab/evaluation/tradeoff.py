"""The trade-off plot: how private against how similar, for every method and our whole range."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .methods import OPTIMISED, Protocol, ours
from .summary import points

OURS, THEIRS, SLOW = "#c44e52", "#4c72b0", "#dd8452"
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1)  # of both axes


def tradeoff_figure(summary: dict, protocol: Protocol) -> Figure:
    """Privacy against similarity, by two attackers: down is private, left is similar.

    Both axes are drawn in square roots, because the interesting methods lie near zero. Bars are
    95 % intervals; numbers stand for the methods listed beside the panels.
    """
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    panels = figure.subplots(1, 2)
    found = points(summary)
    unseen = [name for name, one in summary["recognizers"].items() if not one["seen"]]
    judge = " or ".join(unseen) if unseen else "the guide: nothing is established by it"
    people = summary["people_in_gallery"]
    chance = f"chance {1 / people:.1%}" if people else "no pairs"
    asked = {
        "matched": "matched with another photo",
        "linkage": f"nearest to the same person's other photo, of {people} ({chance})",
    }
    for axis, (measure, title) in zip(panels, asked.items(), strict=True):
        _scale(axis, found)
        axis.set(title=f"{title}\n{judge}", xlabel="ST-LPIPS to the photo (left: it is still my photo)")
        _lines({one["method"]: one for one in found}, measure, axis, protocol)
        for number, one in enumerate(found, 1):
            low, high = one[f"{measure}_interval"]
            axis.plot([one["st_lpips"]] * 2, [low, high], color=_colour(one), lw=1, alpha=0.35)
            axis.plot(one["st_lpips"], one[measure], "o", color=_colour(one), ms=11, zorder=3,
                      clip_on=False)  # fmt: skip
            axis.text(one["st_lpips"], one[measure], str(number), fontsize=7, color="white",
                      ha="center", va="center", zorder=4)  # fmt: skip
    panels[0].legend(loc="upper right", frameon=False)
    key = [
        Line2D([], [], marker="o", ls="", color=_colour(one), label=f"{number}  {_name(one)}")
        for number, one in enumerate(found, 1)
    ]
    figure.legend(handles=key, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _scale(axis: Axes, shown: list[dict]) -> None:
    most = max((one["st_lpips"] for one in shown), default=0)
    axis.set_xscale("function", functions=(_root, np.square))
    axis.set_yscale("function", functions=(_root, np.square))
    axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.set_yticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
    axis.set(xlim=(0, max(0.1, most) * 1.08), ylim=(0, 1.08))
    axis.grid(alpha=0.3)


def _root(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(x, 0))


def _lines(found: dict[str, dict], measure: str, axis: Axes, protocol: Protocol) -> None:
    """Our points in the order in which a control is turned."""
    controls = {
        "mask_area": ("-", [ours(area) for area in protocol.areas]),
        "strength": (":", [ours(protocol.main_area, s) for s in (*protocol.strengths, 1.0)]),
    }
    for control, (style, names) in controls.items():
        line = [found[name] for name in names if name in found]
        xy = [[one["st_lpips"] for one in line], [one[measure] for one in line]]
        axis.plot(*xy, style, color=OURS, lw=1.6, label=f"anonlab, {control}", zorder=2)


def _name(one: dict) -> str:
    people = f" ({one['people']} people)" if one["method"] == OPTIMISED else ""
    return one["method"].removeprefix("anonlab ") + people


def _colour(one: dict) -> str:
    if one["method"] == OPTIMISED:
        return SLOW
    return OURS if one["method"].startswith("anonlab") else THEIRS
