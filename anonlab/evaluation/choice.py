"""What other ways to choose the virtual identity cost: the figure of `data/identity.json`.

The same person should get the same new face in every photo (consistency), different people
different ones (collapse), and without the key no face should find another of the same person
(linkage). The file holds what was tried on generated people.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from .tradeoff import OURS, THEIRS


def choice_figure(found: dict) -> Figure:
    """Why it is chosen so, from `data/identity.json`; the default is the star.

    Left: consistency against collapse of targets, for every family that was tried; the upper left is
    wanted, and the people themselves are the best that can be had. Right: privacy against similarity
    of drawn faces; the size of a point is its consistency, and the lower left is wanted. Privacy is how
    often a person's result is nearer than another's when the attacker uses the tool with his own key.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for family in dict.fromkeys(one["family"] for one in found["targets"]):
        mine = [one for one in found["targets"] if one["family"] == family]
        xy = [[one["collapse"] for one in mine], [one["consistency"] for one in mine]]
        left.plot(*xy, "o-", ms=5, lw=1, label=family)
        for one in mine:
            left.annotate(one["name"], (one["collapse"], one["consistency"]), (5, -9),
                          textcoords="offset points", fontsize=7)  # fmt: skip
    people = found["untouched"]
    left.plot(people["collapse"], people["consistency"], "k^", label="the people themselves")
    left.set(xscale="log", ylim=(0, 1), xlabel="different people get faces that match (left is better)",
             ylabel="two photos of one person get faces that match (up is better)",
             title=f"{found['people']} generated people, {found['views']} views each")  # fmt: skip
    most = max(one["people"] for one in found["drawn"])
    farthest = max(one["st_lpips"] for one in found["drawn"])
    for one in found["drawn"]:
        right.plot(one["st_lpips"], one["linkage_auc"], "o", ms=4 + 24 * one["consistency"],
                   color=THEIRS, alpha=0.6)  # fmt: skip
        text = f"{one['name']}:\n{one['consistency']:.0%}, {one['collapse']:.1%}"
        last = one["st_lpips"] == farthest
        # two sets of people, on two sides
        aside = (11, "left") if last or one["people"] == most else (-11, "right")
        right.annotate(text, (one["st_lpips"], one["linkage_auc"]), (aside[0], -3), ha=aside[1],
                       textcoords="offset points", fontsize=7)  # fmt: skip
    right.axhline(0.5, color="#999", lw=1, ls="--", label="chance")
    right.set(xlabel="ST-LPIPS to the photo (left is better)", xlim=(0, 1.5 * farthest),
              ylim=(0.45, 0.85), ylabel="by another key, the own result is nearer\n"
              "than somebody else's (AUC, down is better)",
              title="drawn faces of generated people: consistency, collapse")  # fmt: skip
    for axis, x, y in ((left, "collapse", "consistency"), (right, "st_lpips", "linkage_auc")):
        for one in found["targets" if axis is left else "drawn"]:
            if one["default"]:
                axis.plot(one[x], one[y], "*", ms=16, color=OURS, zorder=4, label="default")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    return figure
