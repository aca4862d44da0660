"""Figures of the encoder: its shapes, what its queries look at, and its losses side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..encoding.encoder import EncoderConfig
from .plots import one_axis

COLOURS = {"whole": "#dcebf7", "stays": "#e3f1dc", "person": "#fbe9d0", "fusion": "#eee4f3"}
BARS = ("#9aa5b1", "#2e86ab", "#e28413")


def token_counts(config: EncoderConfig) -> dict[str, int]:
    """How many tokens each source gives: the whole face, three levels of what stays, the identity."""
    side = config.resolution // 32
    stays = {f"stays, {scale * side}²": (scale * side) ** 2 for scale in (4, 2, 1)}
    return {f"whole, {side}²": side**2} | stays | {"identity": 1}


def encoder_diagram(config: EncoderConfig) -> Figure:
    """The encoder from left to right, with the shape of everything that flows."""
    size, c = config.resolution, config.channels
    counts = token_counts(config)
    levels = [f"({c[i]}, {size // 4 // 2**i}²)" for i in range(4)]
    figure, axis = one_axis(12.8, 5.2)
    axis.set(xlim=(-1, 126), ylim=(0, 52))
    axis.set_axis_off()
    semantic = "semantic pyramid\n" + " → ".join(levels[2:]) + "\nlast level is used"
    preservation = "preservation pyramid\n" + " → ".join(levels[1:]) + "\nthree levels are used"
    whole, *kept, person = map(str, counts.values())
    photo, stays = f"photo x\n(3, {size}²)", f"what stays, and mask\n[x·(1 − m), m]\n(4, {size}²)"
    branches = (
        ("whole", 42, photo, semantic, f"{whole} tokens"),
        ("stays", 30, stays, preservation, f"{' + '.join(kept[:-1])} +\n{kept[-1]} tokens"),
        ("person", 18, f"identity e\n({config.identity_dim},)", "MLP", f"{person} token"),
    )
    for kind, y, given, branch, tokens in branches:
        _box(axis, 0, y, 18, given, COLOURS[kind])
        _arrow(axis, (18, y + 4), (22, y + 4))
        _box(axis, 22, y, 29, branch, COLOURS[kind])
        _arrow(axis, (51, y + 4), (63, 34 + (y - 30) / 6))
        under = kind == "person"
        place = (52, y + 2.5) if under else (52, y + 5)
        axis.text(*place, tokens, fontsize=8.5, color="#444444", va="top" if under else "bottom")
    _box(axis, 63, 30, 14, f"tokens\n({sum(counts.values())}, {config.width})", "#f4f4f4")
    _box(axis, 63, 42, 14, f"queries\n({config.num_ws}, {config.width})", COLOURS["fusion"])
    _arrow(axis, (77, 34), (82, 34))
    _arrow(axis, (77, 45), (82, 39))
    fusion = f"{config.layers} × fusion:\ncross-attention,\nself-attention, MLP"
    _box(axis, 82, 29, 19, fusion, COLOURS["fusion"], 11)
    _arrow(axis, (101, 34.5), (106, 34.5))
    _box(axis, 106, 29, 19, f"to_ws, row by row\n({config.num_ws}, {config.w_dim})", "#f4f4f4", 11)
    start = f"linear start: x as 16² pixels, and e, to one w  ({config.w_dim},)"
    _box(axis, 22, 4, 55, start, COLOURS["person"])
    _arrow(axis, (9, 18), (22, 9))
    axis.plot([-0.6, -0.6], [46, 7], color="#555555", lw=1.1)
    _arrow(axis, (-0.6, 7), (22, 7))
    _box(axis, 106, 4, 19, f"ws\n({config.num_ws}, {config.w_dim})", "#ffffff")
    _arrow(axis, (77, 8), (106, 8))
    _arrow(axis, (115.5, 29), (115.5, 12))
    axis.text(117, 19, "+", fontsize=13)
    return figure


def _box(axis: Axes, x: float, y: float, width: float, text: str, colour: str, height: float = 8):
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=1", fc=colour, ec="#888888", lw=0.8
    )
    axis.add_patch(shape)
    axis.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8.5)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "->", "color": "#555555", "lw": 1.1}
    axis.annotate("", xy=end, xytext=start, arrowprops=arrow)


def attention_maps(weights: torch.Tensor, config: EncoderConfig) -> torch.Tensor:
    """Where queries look in the picture: attention `weights (Q, T)` over the tokens to maps
    `(Q, 1, 64, 64)` that sum to the share that goes to places; the identity has none."""
    *places, _ = weights.split([*token_counts(config).values()], 1)
    maps = []
    for part in places:
        small = int(part.shape[1] ** 0.5)
        spread = part.view(-1, 1, small, small) * (small / 64) ** 2
        maps.append(F.interpolate(spread, size=(64, 64), mode="nearest"))
    return torch.stack(maps).sum(0)


def grouped_bars_figure(groups: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Bars `{group: {name: number}}`: a line for each name, in it a bar for each group."""
    names = list(next(iter(groups.values())))
    height = 0.8 / len(groups)
    figure, axis = one_axis(8, 1.1 + 0.32 * len(names), "top", "right", xlabel=label)
    for number, (group, values) in enumerate(groups.items()):
        at = np.arange(len(names)) + (number - (len(groups) - 1) / 2) * height
        axis.barh(at, [values[name] for name in names], height, label=group, color=BARS[number])
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    figure.legend(frameon=False, loc="outside upper center", ncols=len(groups))
    return figure
