"""The trade-off plot: how private against how similar, for every method and our whole range."""

from __future__ import annotations

from itertools import product
from math import cos, pi, sin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from .methods import OPTIMISED, Protocol, ours
from .summary import points

OURS, THEIRS, SLOW = "#c44e52", "#4c72b0", "#dd8452"
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1)  # of both axes
DISTANCES = (9, 16, 26, 38, 52, 70, 95)  # where a label may stand: points away from its dot
DIRECTIONS = 16  # and ways round it
MARGIN = 1.0  # pixels that stay free around a label


def tradeoff_figure(summary: dict, protocol: Protocol) -> Figure:
    """Privacy against similarity, by two attackers: down is private, left is similar.

    Both axes are drawn in square roots, because the interesting methods lie near zero. Bars are
    95 % intervals.
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
        for one in found:
            low, high = one[f"{measure}_interval"]
            axis.plot([one["st_lpips"]] * 2, [low, high], color=_colour(one), lw=1, alpha=0.35)
            axis.plot(one["st_lpips"], one[measure], "o", color=_colour(one), ms=6, zorder=3,
                      clip_on=False)  # fmt: skip
    panels[0].legend(loc="upper right", frameon=False)
    figure.draw_without_rendering()  # labels need to know where the points are
    for axis, measure in zip(panels, asked, strict=True):
        _label(axis, [(one["st_lpips"], one[measure], _name(one), _colour(one)) for one in found])
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


def _label(axis: Axes, labels: list[tuple[float, float, str, str]]) -> None:
    """Write every label at the nearest place that covers no point and no other label."""
    dots = [axis.transData.transform((x, y)) for x, y, _, _ in labels]
    taken = [Bbox.from_extents(*(dot - 4), *(dot + 4)) for dot in dots]
    frame = axis.get_window_extent()
    for x, y, name, colour in labels:
        text = axis.annotate(
            name, (x, y), (0, 0), textcoords="offset points", fontsize=8, color=colour, ha="center",
            va="center", arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkB": 3},
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
        taken.append(_place(text, frame, taken))


def _place(text: Annotation, frame: Bbox, taken: list[Bbox]) -> Bbox:
    """Move `text` to the first free place around its point, nearest first; the box that it fills."""
    width, height = text.get_window_extent().size
    scale = text.get_figure().dpi / 72
    x, y = text.axes.transData.transform(text.xy)
    least = float("inf")
    for away, turn in product(DISTANCES, range(DIRECTIONS)):
        # a wide text stands further to the side than above
        angle = 2 * pi * turn / DIRECTIONS + pi / 4
        dx = cos(angle) * (away + width / scale / 2)
        dy = sin(angle) * (away + height / scale / 2)
        box = _box(x + dx * scale, y + dy * scale, width, height)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        clash = sum(map(box.overlaps, taken)) + (not inside)
        if clash < least:
            least, place, taking = clash, (dx, dy), box
        if not clash:
            break
    text.set_position(place)
    return taking


def _box(x: float, y: float, width: float, height: float) -> Bbox:
    dx, dy = width / 2 + MARGIN, height / 2 + MARGIN
    return Bbox.from_extents(x - dx, y - dy, x + dx, y + dy)
