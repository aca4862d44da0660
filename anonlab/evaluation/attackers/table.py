"""One line an attacker, the worst on top; how often results collapse, and how often a key keeps a face.

Match rates are at the threshold at which 1 in 1,000 of the attack's own comparisons of different people
would match, so that every attacker pays the same false accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from ... import metrics
from ...measured import Measured, higher, lower, reference
from ...pipeline import Anonymizer
from ..judging import Instruments, Judge
from ..methods import ORIGINAL, Protocol
from ..people import Person
from ..results import Evaluation, PersonResult
from ..summary import FAR, strangers
from .attacks import Attack, attacks, united
from .pairs import make_pairs
from .sightings import sightings


@dataclass(frozen=True)
class Line:
    """What one attacker with one recogniser reaches."""

    attacker: str
    recognizer: str
    probes: int
    gallery: int
    rank_1: float
    rank_1_interval: tuple[float, float]  # 95 %, by person
    chance: float
    match_rate: float  # at a false-accept rate of 1e-3 of this attack
    genuine: bool  # False: for comparison only


def line(attack: Attack) -> Line:
    """The numbers of one attack."""
    away = attack.distances
    hits = metrics.linked(away)
    threshold = metrics.calibrated_threshold(strangers(away), FAR)
    return Line(
        attack.name,
        attack.recognizer,
        *away.shape,
        hits.float().mean().item(),
        metrics.interval(hits.numpy()),
        1 / away.shape[1],
        (away.diagonal() < threshold).float().mean().item(),
        attack.genuine,
    )


def attack_everybody(
    anonymizer: Anonymizer,
    people: Sequence[Person],
    evaluation: Evaluation,
    instruments: Instruments,
    protocol: Protocol,
    learn_from: dict[str, int | None],
    state: Path,
    progress: bool = False,
) -> dict:
    """All attackers on the evaluated people, as plain numbers: `lines`, worst first, `collapse` and
    `consistency` by recogniser, and how many `pairs` were learned from.

    `learn_from` are the sources of `make_pairs`; what is drawn is kept in `state`. Empty where fewer
    than two people have two photos. Raises what `make_pairs` raises.
    """
    seen = sightings(anonymizer, people, instruments, protocol, state, progress)
    results = [one for one in evaluation.results if one.has_gallery() and one.person in seen]
    if len(results) < 2:
        return {}
    pairs = make_pairs(anonymizer, learn_from, instruments, protocol, people, state, progress)
    found = [
        attack
        for judge in instruments.judges
        for attack in attacks(judge, protocol.main, results, seen, pairs[judge.name],
                              anonymizer.population, protocol.seed)
    ]  # fmt: skip
    lines = sorted(map(line, [*found, *united(found)]), key=lambda one: -one.rank_1)
    return {
        "people": len(results),
        "pairs": len(next(iter(pairs.values())).before),
        "learn_from": [*learn_from],
        "lines": [asdict(one) for one in lines],
        "collapse": {one.name: collapse(one, protocol.main, results) for one in instruments.judges},
        "consistency": {
            one.name: consistency(one, protocol.main, results, seen) for one in instruments.judges
        },
    }


def _threshold(judge: Judge, results: Sequence[PersonResult]) -> float:
    """At which 1 in 1,000 pairs of different people match before anything is done to them."""
    before, gallery = (
        torch.stack([one.tensors[f"{kind}/{judge.name}/{ORIGINAL}"] for one in results])
        for kind in ("probe", "gallery")
    )
    away = metrics.pairwise(judge.recognizer, before, gallery)
    return metrics.calibrated_threshold(strangers(away), FAR)


def collapse(judge: Judge, method: str, results: Sequence[PersonResult]) -> dict[str, float]:
    """How often different people match at one threshold: their results, and they themselves."""
    threshold = _threshold(judge, results)
    after, before = (
        torch.stack([one.tensors[f"probe/{judge.name}/{name}"] for one in results])
        for name in (method, ORIGINAL)
    )
    return {
        "results": metrics.collapse_rate(judge.recognizer, after, threshold),
        "people": metrics.collapse_rate(judge.recognizer, before, threshold),
    }


def consistency(
    judge: Judge, method: str, results: Sequence[PersonResult], seen: dict[str, PersonResult]
) -> dict[str, float]:
    """How often two photos of one person match: as they are, and their results by one key, each photo
    on its own or with the one identity of the person's album; and by two keys."""
    threshold = _threshold(judge, results)

    def rate(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
        away = metrics.pairwise(judge.recognizer, torch.stack(list(a)), torch.stack(list(b))).diagonal()
        return (away < threshold).float().mean().item()

    def of(kind: str) -> list[torch.Tensor]:
        return [one.tensors[kind] for one in results]

    def drawn(kind: str) -> list[torch.Tensor]:
        return [seen[one.person].tensors[kind] for one in results]

    name = judge.name
    probes = of(f"probe/{name}/{method}")
    return {
        "photos": rate(of(f"probe/{name}/{ORIGINAL}"), of(f"gallery/{name}/{ORIGINAL}")),
        "one_key": rate(probes, of(f"attacker with key/{name}/{method}")),
        "one_key_album": rate(drawn(f"cluster/{name}/probe"), drawn(f"cluster/{name}/gallery")),
        "two_keys": rate(probes, of(f"attacker/{name}/{method}")),
    }


def worst(summary: dict) -> dict | None:
    """The line of the attacker who finds most; None where nobody could be attacked."""
    return next((one for one in summary.get("lines", ()) if one["genuine"]), None)


def sentence(summary: dict) -> str:
    """The worst attacker in words."""
    one = worst(summary)
    if one is None:
        return "nobody could be attacked, because fewer than two people have two photos"
    low, high = one["rank_1_interval"]
    return (
        f"the worst attacker ({one['attacker']}, by {one['recognizer']}) finds {one['rank_1']:.1%} of "
        f"{one['probes']} people first among {one['gallery']} (95 %: {low:.1%} to {high:.1%}; chance "
        f"{one['chance']:.1%})"
    )


def numbers(summary: dict) -> dict:
    """What a run records and is held to, with the directions of each."""
    recorded: dict = {}
    for one in summary.get("lines", ()):
        better = lower if one["genuine"] else higher
        recorded.setdefault(one["attacker"], {})[one["recognizer"]] = {
            "rank_1": better(one["rank_1"], one["probes"]),
            "match_rate": better(one["match_rate"], one["probes"]),
        }
    people = summary.get("people", 0)
    for name, found in summary.get("collapse", {}).items():
        recorded.setdefault("collapse", {})[name] = {
            "results": lower(found["results"]),
            "people": reference(found["people"]),
        }
    for name, found in summary.get("consistency", {}).items():
        values: dict[str, Measured] = {
            "photos": reference(found["photos"], people),
            "two_keys": lower(found["two_keys"], people),
        }
        values |= {key: higher(found[key], people) for key in ("one_key", "one_key_album")}
        recorded.setdefault("consistency", {})[name] = values
    return recorded


def attackers_figure(summary: dict) -> Figure:
    """Rank 1 of every attacker with its interval, one colour a recogniser; the dashed line is chance."""
    names = list(dict.fromkeys(one["attacker"] for one in summary["lines"] if one["genuine"]))[::-1]
    recognizers = list(dict.fromkeys(one["recognizer"] for one in summary["lines"]))
    figure = Figure(figsize=(8, 0.8 + 0.42 * len(names)), layout="constrained")
    axis = figure.subplots()
    for number, recognizer in enumerate(sorted(recognizers)):
        mine = [one for one in summary["lines"] if one["recognizer"] == recognizer and one["genuine"]]
        y = [names.index(one["attacker"]) + 0.2 * (number - (len(recognizers) - 1) / 2) for one in mine]
        x = [one["rank_1"] for one in mine]
        away = [
            [max(0.0, one["rank_1"] - one["rank_1_interval"][0]) for one in mine],
            [max(0.0, one["rank_1_interval"][1] - one["rank_1"]) for one in mine],
        ]
        axis.errorbar(x, y, xerr=away, fmt="o", ms=5, lw=1, capsize=2, label=recognizer)
    chance = min(one["chance"] for one in summary["lines"])
    axis.axvline(chance, color="#999", lw=1, ls="--", label=f"chance {chance:.1%}")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel=f"found first (rank 1), {summary['people']} people in the gallery", xlim=(0, None))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
