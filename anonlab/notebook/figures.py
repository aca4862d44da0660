"""Figures of the stages: a path of integration, the turn of an identity, the encoder's inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyBboxPatch

from ..encoding.encoder import EncoderConfig
from ..identity.virtual import IdentityPath
from ..images import resize
from ..perception.attribution import AttributionInputs, integrated_gradients
from ..perception.perception import as_map
from .plots import HEAT, gallery, one_axis, overlay, picture

PERSON, NEW, REST = "#2e86ab", "#c44e52", "#b8c0c8"
WHOLE, STAYS, WHO, FUSION, PLAIN = "#dcebf7", "#e3f1dc", "#fbe9d0", "#eee4f3", "#f4f4f4"
BARS = ("#9aa5b1", "#2e86ab", "#e28413")


def integration_figure(inquiry: AttributionInputs, steps: int, baseline: str) -> Figure:
    """Draw integrated gradients from one baseline in that many steps: where the path starts, how the
    score rises along it, the map, and how much of the rise the attributions add up to.

    Raises `UnknownOption` for a baseline that does not exist or lacks what it needs.
    """
    inquiry = replace(
        inquiry, steps=steps, baseline=baseline, rng=torch.Generator().manual_seed(0)
    )  # the same noise for the path and for its end
    start, score = inquiry.baseline_image(), inquiry.score()
    signed = integrated_gradients(replace(inquiry, rng=torch.Generator().manual_seed(0)))
    alphas = torch.linspace(0, 1, 21)
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
    """Draw the way from signed attributions to heat: the face, `signed (1, 3, S, S)` summed over
    colours, its absolute values smoothed, `heat (1, 1, S, S)`, and that over the face; with colour
    bars."""
    summed, heated = (resize(one, 256)[0, 0].numpy() for one in (signed.sum(1, keepdim=True), heat))
    most = np.quantile(np.abs(summed), 0.998)  # single pixels would leave the rest grey
    both_signs, hot = (
        ScalarMappable(Normalize(low, high), colours)
        for low, high, colours in ((-most, most, "RdBu_r"), (0, 1, HEAT))
    )
    titles = ["the face", "attribution per pixel,\nsummed over colours",
              "heat: |attribution|,\nsmoothed, maximum 1", "heat over the face"]  # fmt: skip
    pictures = [image, both_signs.to_rgba(summed), hot.to_rgba(heated), overlay(image, heat)]
    figure = gallery(pictures, titles, columns=2)
    for axis, scale in zip(figure.axes[1:], (both_signs, hot, hot), strict=True):
        figure.colorbar(scale, ax=axis, shrink=0.8, format="%.1g")
    return figure


def turn_plane(path: IdentityPath, embeddings: torch.Tensor) -> torch.Tensor:
    """Project `embeddings (N, dim)`, as seen from the path's origin in the plane of its turn, `(N, 2)`:
    along its axis, on which the person lies, and at a right angle to it towards the keyed direction."""
    axis = path.axis[0]
    across = F.normalize(path.direction[0] - (path.direction[0] @ axis) * axis, dim=0)
    return (embeddings - path.origin) @ torch.stack([axis, across]).T


def turn_figure(path: IdentityPath, others: torch.Tensor) -> Figure:
    """Draw the plane in which an identity is turned: the person, the reflected axis, the keyed
    direction, and the way to the target; `others (N, dim)` are people, as they lie in that plane."""
    figure, axis = one_axis(6.4, 4.6, "top", "right", xlabel="along the person's own direction")
    people = turn_plane(path, others).cpu()
    axis.plot(*people.T, ".", color=REST, ms=4, zorder=0, label="generated people")
    way = torch.cat([turn_plane(path, path.at(step / 40).target) for step in range(41)]).cpu()
    person, target = way[0], way[-1]
    axis.plot(*way.T, color=NEW, lw=1.5, label="strength from 0 to 1")
    near, radius = person[0].item(), target.norm().item()
    angle = math.degrees(math.atan2(target[1], target[0]))
    for end in ((-near, 0), (0, radius)):
        axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "ls": ":", "color": "#666666"})
    for end, colour in ((person, PERSON), (target, NEW)):
        axis.plot([0, end[0]], [0, end[1]], color=colour, lw=1.2)
        axis.plot(*end, "o", color=colour, ms=8)
    axis.add_patch(Arc((0, 0), near / 2, near / 2, theta1=0, theta2=angle, color=NEW))
    axis.plot(0, 0, "k+", ms=10)
    said = (
        ("the person", person, (6, -14), "left"),
        (f"the new identity, {angle:.0f}°", target, (-8, 4), "right"),
        ("reflected axis, 180°", (-near, 0), (0, -14), "center"),
        ("keyed direction", (0, radius), (8, 4), "left"),
        ("mean of the group", (0, 0), (6, -14), "left"),
    )
    for text, point, offset, side in said:
        axis.annotate(text, tuple(point), offset, textcoords="offset points", ha=side, fontsize=9)
    low = people[:, 1].min().item()
    axis.set(ylabel="along the keyed direction", aspect="equal", xlim=(-1.3 * near, 1.45 * near),
             ylim=(min(1.1 * low, -0.3 * near), 1.2 * radius))  # fmt: skip
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def token_counts(config: EncoderConfig) -> dict[str, int]:
    """Count the tokens that each source gives: the whole face, three levels of what stays, the
    identity."""
    side = config.resolution // 32
    stays = {f"stays, {scale * side}²": (scale * side) ** 2 for scale in (4, 2, 1)}
    return {f"whole, {side}²": side**2} | stays | {"identity": 1}


def encoder_diagram(config: EncoderConfig) -> Figure:
    """Draw the encoder from left to right, with the shape of everything that flows."""
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
        (0, 18, 18, 8, WHO, f"identity e\n({config.identity_dim},)"),
        (22, 18, 29, 8, WHO, "MLP"),
        (63, 30, 14, 8, PLAIN, f"tokens\n({sum(counts.values())}, {width})"),
        (63, 42, 14, 8, FUSION, f"queries\n({rows}, {width})"),
        (82, 29, 19, 11, FUSION, fusion),
        (106, 29, 19, 11, PLAIN, f"to_ws, row by row\n({rows}, {w_dim})"),
        (22, 4, 55, 8, WHO, f"linear start: x as 16² pixels, and e, to one w  ({w_dim},)"),
        (106, 4, 19, 8, "#ffffff", f"ws\n({rows}, {w_dim})"),
    )
    arrows = (  # from x, y to x, y
        (18, 46, 22, 46), (18, 34, 22, 34), (18, 22, 22, 22), (51, 46, 63, 36), (51, 34, 63, 34),
        (51, 22, 63, 32), (77, 34, 82, 34), (77, 45, 82, 39), (101, 34.5, 106, 34.5), (9, 18, 22, 9),
        (-0.6, 7, 22, 7), (77, 8, 106, 8), (115.5, 29, 115.5, 12),
    )  # fmt: skip
    words = (
        (52, 47, f"{whole} tokens"), (52, 29.4, f"{' + '.join(kept[:-1])} +\n{kept[-1]} tokens"),
        (52, 19, f"{person} token"), (117, 19, "+"),
    )  # fmt: skip
    figure, axis = one_axis(10, 4.4)
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
    """Tell where queries look in the picture: attention `weights (Q, T)` over the tokens to maps
    `(Q, 1, 64, 64)` that sum to the share that goes to places; the identity has none."""
    *places, _ = weights.split([*token_counts(config).values()], 1)
    maps = []
    for part in places:
        small = int(part.shape[1] ** 0.5)
        spread = part.view(-1, 1, small, small) * (small / 64) ** 2
        maps.append(F.interpolate(spread, size=(64, 64), mode="nearest"))
    return torch.stack(maps).sum(0)


def grouped_bars_figure(groups: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Draw bars `{group: {name: number}}`: a line for each name, in it a bar for each group."""
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
