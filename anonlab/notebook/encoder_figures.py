"""Figures of the encoder: its shapes, what its queries look at, and its losses side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..encoding.encoder import EncoderConfig
from .plots import one_axis

WHOLE, STAYS, PERSON, FUSION, PLAIN = "#dcebf7", "#e3f1dc", "#fbe9d0", "#eee4f3", "#f4f4f4"
BARS = ("#9aa5b1", "#2e86ab", "#e28413")


def token_counts(config: EncoderConfig) -> dict[str, int]:
    """How many tokens each source gives: the whole face, three levels of what stays, the identity."""
    side = config.resolution // 32
    stays = {f"stays, {scale * side}²": (scale * side) ** 2 for scale in (4, 2, 1)}
    return {f"whole, {side}²": side**2} | stays | {"identity": 1}


def encoder_diagram(config: EncoderConfig) -> Figure:
    """The encoder from left to right, with the shape of everything that flows."""
    size, width, w_dim, rows = config.resolution, config.width, config.w_dim, config.num_ws
    counts = token_counts(config)
    whole, *kept, person = map(str, counts.values())
    levels = [f"({channels}, {size // 4 // 2**i}²)" for i, channels in enumerate(config.channels[:4])]
    semantic = f"semantic pyramid\n{' → '.join(levels[2:])}\nlast level is used"
    preservation = f"preservation pyramid\n{' → '.join(levels[1:])}\nthree levels are used"
    fusion = f"{config.layers} × fusion:\ncross-attention,\nself-attention, MLP"
    boxes = (  # left, bottom, width, height, colour, text
        (0, 42, 18, 8, WHOLE, f"photo x\n(3, {size}²)"),
        (22, 42, 29, 8, WHOLE, semantic),
        (0, 30, 18, 8, STAYS, f"what stays, and mask\n[x·(1 − m), m]\n(4, {size}²)"),
        (22, 30, 29, 8, STAYS, preservation),
        (0, 18, 18, 8, PERSON, f"identity e\n({config.identity_dim},)"),
        (22, 18, 29, 8, PERSON, "MLP"),
        (63, 30, 14, 8, PLAIN, f"tokens\n({sum(counts.values())}, {width})"),
        (63, 42, 14, 8, FUSION, f"queries\n({rows}, {width})"),
        (82, 29, 19, 11, FUSION, fusion),
        (106, 29, 19, 11, PLAIN, f"to_ws, row by row\n({rows}, {w_dim})"),
        (22, 4, 55, 8, PERSON, f"linear start: x as 16² pixels, and e, to one w  ({w_dim},)"),
        (106, 4, 19, 8, "#ffffff", f"ws\n({rows}, {w_dim})"),
    )
    arrows = (  # from x, y to x, y
        (18, 46, 22, 46), (18, 34, 22, 34), (18, 22, 22, 22), (51, 46, 63, 36), (51, 34, 63, 34),
        (51, 22, 63, 32), (77, 34, 82, 34), (77, 45, 82, 39), (101, 34.5, 106, 34.5), (9, 18, 22, 9),
        (-0.6, 7, 22, 7), (77, 8, 106, 8), (115.5, 29, 115.5, 12),
    )  # fmt: skip
    words = (
        (52, 47, f"{whole} tokens"), (52, 35, f"{' + '.join(kept[:-1])} +\n{kept[-1]} tokens"),
        (52, 17.5, f"{person} token"), (117, 19, "+"),
    )  # fmt: skip
    figure, axis = one_axis(12.8, 5.2)
    axis.set(xlim=(-1, 126), ylim=(0, 52))
    axis.set_axis_off()
    axis.plot([-0.6, -0.6], [46, 7], color="#555555", lw=1.1)  # from the photo down to the linear start
    style = {"boxstyle": "round,pad=0,rounding_size=1", "ec": "#888888", "lw": 0.8}
    for x, y, w, h, colour, text in boxes:
        axis.add_patch(FancyBboxPatch((x, y), w, h, fc=colour, **style))
        axis.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=8.5)
    for x, y, to_x, to_y in arrows:
        line = {"arrowstyle": "->", "color": "#555555", "lw": 1.1}
        axis.annotate("", xy=(to_x, to_y), xytext=(x, y), arrowprops=line)
    for x, y, text in words:
        axis.text(x, y, text, fontsize=8.5, color="#444444", va="bottom")
    return figure


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
