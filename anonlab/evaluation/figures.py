"""Pictures of an evaluation: trade-off, ROC curves, attackers with intervals, contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..metrics.privacy import roc
from ..notebook.plots import gallery, intervals_figure
from ..recognizers import distance
from .evaluate import Evaluation
from .pictures import AREA
from .privacy import FAR, KEYED, ORIGINAL, OTHER_PHOTO, away, strangers

OURS, THEIRS = "#c44e52", "#4c72b0"
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1)  # of both axes of the trade-off
ROC_LINES = {  # colour and style of each; dashes show what lies below
    "blur weak": ("#4c72b0", "-"),
    "pixelate medium": ("#55a868", "-"),
    ORIGINAL: ("#222222", "--"),
    "result": (OURS, "-"),
}


def tradeoff_figure(found: dict, judge: str) -> Figure:
    """Draw privacy against similarity of every method of one data set: down is private, left is similar.

    Both axes are drawn in square roots, because the interesting methods lie near zero. Bars are
    95 % intervals; numbers stand for the methods listed beside the panels.
    """
    methods = found["found"][judge]["methods"]
    means = found["similarity"] | {ORIGINAL: {"st_lpips": {"mean": 0.0}}}
    x = {name: means[name]["st_lpips"]["mean"] for name in methods}
    ours = [name for name in x if name.startswith("anonlab") and "strength" not in name]
    areas = {AREA: "result"} | {float(name.split()[1]): name for name in ours}
    colour = {name: OURS if name.startswith(("result", "anonlab")) else THEIRS for name in methods}
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    chance = f"chance {next(iter(methods.values()))['chance']:.1%}"
    asked = {
        "match_rate_other": "matched with another photo",
        "rank_1": f"nearest to the same person's other photo, of {found['people']} ({chance})",
    }
    for axis, (measure, title) in zip(figure.subplots(1, 2), asked.items(), strict=True):
        roots = {"functions": (lambda value: np.sqrt(np.maximum(value, 0)), np.square)}
        axis.set_xscale("function", **roots)
        axis.set_yscale("function", **roots)
        axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axis.set_yticks(TICKS, [f"{tick:.0%}" for tick in TICKS])
        axis.set(
            xlim=(0, max(0.1, *x.values()) * 1.08),
            ylim=(0, 1.08),
            title=f"{title}\n{judge}",
            xlabel="ST-LPIPS to the photo (left: it is still my photo)",
        )
        axis.grid(alpha=0.3)
        for number, (name, one) in enumerate(methods.items(), 1):
            look = {"color": colour[name], "label": f"{number}  {name}"}
            axis.plot([x[name]] * 2, one[f"{measure}_interval"], color=colour[name], lw=1, alpha=0.35)
            axis.plot(x[name], one[measure], "o", ms=11, zorder=3, clip_on=False, **look)
            axis.text(x[name], one[measure], str(number), fontsize=7, color="white", ha="center",
                      va="center", zorder=4)  # fmt: skip
        line = [(x[areas[area]], methods[areas[area]][measure]) for area in sorted(areas)]
        axis.plot(*zip(*line, strict=True), color=OURS, lw=1.6, zorder=2)
    key = figure.axes[0].get_legend_handles_labels()
    figure.legend(*key, loc="outside right center", frameon=False)
    return figure


def roc_figure(evaluation: Evaluation, dataset: str) -> Figure:
    """Draw true against false accepts for a few methods of one data set, one axis a recogniser."""
    judges = evaluation.judges
    figure = Figure(figsize=(max(7.0, 4.6 * len(judges)), 4.4), layout="constrained")
    axes = figure.subplots(1, len(judges), squeeze=False)[0]
    for axis, judge in zip(axes, judges, strict=True):
        axis.set(title=f"{judge.name} ({'seen' if judge.seen else 'unseen'})", xlabel="false accepts",
                 xscale="log", xlim=(5e-4, 1), ylim=(0, 1.02))  # fmt: skip
        axis.grid(alpha=0.3)
        axis.axvline(FAR, color="#999", lw=0.8, ls="--")
        seen = evaluation.embeddings[dataset][judge.name]
        for name, (colour, style) in ROC_LINES.items():
            picture = "photo" if name == ORIGINAL else name
            if picture in seen:
                table = away(judge, seen, picture, "other photo")
                curve = roc(table.diagonal(), strangers(table))
                axis.step(*curve, where="post", label=name, color=colour, ls=style, lw=1.8)
    axes[0].set_ylabel("true accepts, with another photo")
    axes[0].legend(fontsize=8, loc="lower right")
    return figure


def attackers_figure(found: dict) -> Figure:
    """Draw rank 1 of every attacker on one data set with its interval, one colour a recogniser; the
    dashed line is chance."""
    groups = {
        judge: {
            name: (attack["rank_1"], *attack["rank_1_interval"])
            for name, attack in one["attacks"].items()
            if name != KEYED
        }
        for judge, one in found["found"].items()
    }
    chance = 1 / found["people"]
    label = f"found first (rank 1), of {found['people']} people; dashed: chance {chance:.1%}"
    return intervals_figure(groups, chance, label)


def nearness(evaluation: Evaluation, dataset: str) -> np.ndarray:
    """Return the distance of each person's result to the person over the threshold, `(N,)`: below 1 it
    is matched.

    The smallest over all recognisers, and over the photo itself and the other one; the threshold is the
    larger one of the published and the calibrated.
    """
    found = []
    for judge in evaluation.judges:
        seen = evaluation.embeddings[dataset][judge.name]
        about = evaluation.sets[dataset]["found"][judge.name]
        limit = max(about["threshold"], about["threshold_published"], 1e-9)
        of = (distance(judge.recognizer, seen["result"], seen[x]) for x in ("photo", "other photo"))
        found += [distances.numpy() / limit for distances in of]
    return np.min(found, 0)


def contact_sheets(evaluation: Evaluation, dataset: str, methods: Sequence[str] = ()) -> list[Figure]:
    """Draw a sheet for each person, worst hidden first: the photo, methods, another photo, in two
    columns, so that a picture is large enough to be judged.

    Above each is the distance that an unseen recogniser sees, or the guide without one.
    """
    people = evaluation.people[dataset]
    judge = next((one for one in evaluation.judges if not one.seen), evaluation.judges[0])
    seen = evaluation.embeddings[dataset][judge.name]
    shown = {ORIGINAL: "photo", "result": "result"} | {name: name for name in methods if name in seen}
    shown |= {OTHER_PHOTO: "other photo"}
    gaps = {
        name: distance(judge.recognizer, seen[one], seen["other photo"]) for name, one in shown.items()
    }
    order = nearness(evaluation, dataset).argsort(kind="stable").tolist()
    sheets = []
    for index in order:
        images = [people[index].image(one) for one in shown.values()]
        titles = [f"{name}: {gaps[name][index]:.2f}".replace("anonlab", "ours") for name in shown]
        figure = gallery(images, titles, 2, [people[index].person.name[:16]])
        limit = f"matched below {judge.recognizer.threshold:.3g}"
        figure.supxlabel(f"distance by {judge.name} to another photo of the person; {limit}")
        sheets.append(figure)
    return sheets
