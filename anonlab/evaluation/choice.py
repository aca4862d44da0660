"""Why the virtual identity is chosen as it is: what a choice costs, before any face is drawn.

The same person should get the same new face in every photo (consistency), different people should
get different ones (collapse), and without the key nobody should find one by the other (linkage). All
three can be asked of the targets alone, `identity_path(…).at(1)`, on views of generated people
(`training.views`), so that no judge has a part in the choice. What was tried, and what drawn faces
say of it, is in `data/identity.json`; `choice_figure` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from ..identity.population import Attributes, Population
from ..identity.virtual import Draw, keyed, random_orthogonal, virtual_identity, whitened_rotation
from ..metrics import linkage
from .tradeoff import OURS, THEIRS

KEYS = (b"one key, for measuring only", b"another, for measuring only", b"a third, for measuring only")


def partly_alone(share: float) -> Draw:
    """A direction of which the `share` in [0, 1] is the key's alone, the same for everybody."""

    def draw(population: Population, axis: torch.Tensor, key: bytes, seed: int) -> torch.Tensor:
        noise = torch.randn(len(population.spread), generator=keyed(key + b"\0alone", seed)).to(axis)
        own = whitened_rotation(population, axis, key, seed)
        everybody = (noise * population.spread) @ population.directions
        return math.sqrt(1 - share**2) * F.normalize(own, dim=0) + share * F.normalize(everybody, dim=0)

    return draw


def in_blocks(size: int) -> Draw:
    """Rotated without whitening, `size` components of similar spread among themselves: new identities
    are as far apart as the people, as a keyed code that keeps distances would have them."""

    def draw(population: Population, axis: torch.Tensor, key: bytes, seed: int) -> torch.Tensor:
        parts = (population.directions @ axis).split(size)
        turned = [
            random_orthogonal(len(part), key + b"\0%d" % number, seed).to(axis) @ part
            for number, part in enumerate(parts)
        ]
        return torch.cat(turned) @ population.directions

    return draw


def by_agreement(agreement: torch.Tensor, power: float) -> Draw:
    """Whitened components `(64,)` shrunk by how well each agrees between views, to a `power`."""

    def draw(population: Population, axis: torch.Tensor, key: bytes, seed: int) -> torch.Tensor:
        weighted = (population.directions @ axis) * agreement.to(axis) ** power
        return whitened_rotation(population, weighted @ population.directions, key, seed)

    return draw


def agreement(population: Population, views: torch.Tensor) -> torch.Tensor:
    """The share of each principal component's variance over the population that is not variance
    between views `(N, V, dim)` of one person: `(64,)`, at least 0.02."""
    within = (views - views.mean(1, keepdim=True)) @ population.directions.T
    between_views = within.square().sum((0, 1)) / (len(views) * (views.shape[1] - 1))
    total = population.spread.square() / len(population.embeddings)
    return (1 - between_views / total).clamp_min(0.02)


def targets(
    population: Population, embeddings: torch.Tensor, key: bytes, draw: Draw = whitened_rotation
) -> torch.Tensor:
    """What `embeddings (N, dim)` aim at with a key: `(N, dim)`. Attributes are read from them alone."""
    made = []
    for embedding in embeddings:
        gender, age, tone = population.read(embedding).tolist()
        about = Attributes(max(-1.0, min(1.0, gender)), age, tone)
        made.append(virtual_identity(population, embedding[None], about, key, draw=draw).target)
    return torch.cat(made)


def point(
    population: Population,
    views: torch.Tensor,
    threshold: float,
    draw: Draw = whitened_rotation,
    keys: Sequence[bytes] = KEYS,
) -> dict[str, float]:
    """Shares of pairs of targets that match, means over keys and pairs of views.

    `views (N, V, dim)` are embeddings of V views of N people; two match when their Euclidean distance
    is below `threshold`. `consistency`: two views of one person by one key; `collapse`: different
    people by one key; `linkage`: a view's own person is the nearest by another key (chance 1 / N).
    """
    others = ~torch.eye(len(views), dtype=torch.bool)
    found: dict[str, list[torch.Tensor]] = {"consistency": [], "collapse": [], "linkage": []}
    for number, key in enumerate(keys):
        mine = [targets(population, views[:, v], key, draw) for v in range(views.shape[1])]
        other = targets(population, views[:, -1], keys[number - 1], draw)
        for a, b in combinations(mine, 2):
            away = torch.cdist(a, b)
            found["consistency"].append((away.diagonal() < threshold).float().mean())
            found["collapse"].append((away[others] < threshold).float().mean())
        found["linkage"].append(torch.tensor(linkage(torch.cdist(mine[0], other))))
    return {name: torch.stack(values).mean().item() for name, values in found.items()}


def untouched(views: torch.Tensor, threshold: float) -> dict[str, float]:
    """The same of the people themselves: how often two views match, and two people."""
    others = ~torch.eye(len(views), dtype=torch.bool)
    pairs = [torch.cdist(views[:, i], views[:, j]) for i, j in combinations(range(views.shape[1]), 2)]
    return {
        "consistency": torch.stack([(one.diagonal() < threshold).float().mean() for one in pairs])
        .mean()
        .item(),
        "collapse": torch.stack([(one[others] < threshold).float().mean() for one in pairs])
        .mean()
        .item(),
    }


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
