"""From people to the numbers of the table: who is found, what is kept, and how sure that is.

Which of them a run is held to, and which way each is better, is said in `recorded`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .. import metrics
from ..identity.population import Population
from ..recognizers import distance
from .judging import HOW_TO_ADD, SHARES, Judge
from .methods import ORIGINAL, OTHER_PHOTO, Protocol
from .results import Evaluation, PersonResult

FAR = 1e-3
SMALL = 40  # people below which a set of features says little


def summarise(evaluation: Evaluation, judges: Sequence[Judge], population: Population) -> dict:
    """Everything that the report shows, as one object of plain numbers; see the parts below.

    The same results give the same numbers.
    """
    results = evaluation.results
    pairs = [result for result in results if result.has_gallery()]
    recognizers = {one.name: _recognizer(one, pairs) for one in judges}
    methods = {}
    for name in _methods(results):
        tried = [result for result in results if name in result.numbers]
        about: dict = {"people": len(tried), "means": _means(tried, name)}
        if name != OTHER_PHOTO:
            about["privacy"] = {
                one.name: _privacy(one, name, tried, pairs, recognizers[one.name]) for one in judges
            }
            if name.startswith("anonlab"):
                about["undone"] = _undone(judges, name, pairs, population)
        about["realism"] = _realism(tried, name)
        methods[name] = about
    return {
        "people": len(results),
        "people_in_gallery": len(pairs),
        "problems": len(evaluation.problems),
        "unseen_recognisers": sum(not one.seen for one in judges),
        "recognizers": recognizers,
        "methods": methods,
        "calibration": _calibration(results),
        "fingerprint": evaluation.fingerprints,
    }


def headline(summary: dict, protocol: Protocol) -> str:
    """One sentence that claims no more than was measured, on unseen recognisers only."""
    if not summary["unseen_recognisers"]:
        return f"no unseen recogniser: privacy not established; {HOW_TO_ADD}"
    ours = summary["methods"][protocol.main]
    parts = []
    for name, one in summary["recognizers"].items():
        if not one["seen"]:
            found = ours["privacy"][name]
            if "match_rate_other" not in found:
                return (
                    "nobody has a second photo: privacy not established; add photos of the same people"
                )
            low, high = found["match_rate_other_interval"]
            parts.append(
                f"{name} still matches {found['match_rate_other']:.1%} of {found['pairs']} people "
                f"with another photo of theirs (95 %: {low:.1%} to {high:.1%}; before: "
                f"{one['tar_before']:.1%}; threshold from {one['impostor_pairs']:,} impostor pairs"
                + ("" if one["impostor_pairs"] * FAR >= 1 else ", too few for a FAR of 1e-3")
                + ")"
            )
    return (
        f"{protocol.main}: " + "; ".join(parts) + (f"; ST-LPIPS {ours['means']['st_lpips']['mean']:.3f}")
    )


def nearness(result: PersonResult, judges: Sequence[Judge], summary: dict, method: str) -> float:
    """How near a method's result is to the person, over the threshold: below 1 it is matched.

    The smallest over all recognisers, and over the photo itself and the other one; the threshold is the
    published or the calibrated one, whichever matches more. Infinite where the method was not tried.
    """
    found = [float("inf")]
    for one in judges:
        after = result.probe(one.name, method)
        limit = max(summary["recognizers"][one.name]["threshold_far"] or 0, one.recognizer.threshold)
        for other in (result.probe(one.name, ORIGINAL), result.gallery(one.name)):
            if after is not None and other is not None:
                away = distance(one.recognizer, after[None], other[None]).item()
                found.append(away / max(limit, 1e-9))
    return min(found)


def failures(
    evaluation: Evaluation, judges: Sequence[Judge], summary: dict, method: str
) -> list[PersonResult]:
    """Everybody by `nearness`: who is nearest, and so was hidden worst, comes first."""
    return sorted(evaluation.results, key=lambda result: nearness(result, judges, summary, method))


def _methods(results: list[PersonResult]) -> list[str]:
    names: dict[str, None] = {}
    for result in results:
        names |= dict.fromkeys(result.numbers)
    return list(names)


def probes_and_gallery(
    judge: Judge, method: str, pairs: list[PersonResult]
) -> tuple[list[PersonResult], list[PersonResult]]:
    """Who was tried, and everybody of the gallery with those first.

    A method that was tried on few still has to hide them among all.
    """
    ours = [result for result in pairs if result.probe(judge.name, method) is not None]
    return ours, ours + [result for result in pairs if result.probe(judge.name, method) is None]


def gallery_distances(
    judge: Judge,
    results: list[PersonResult],
    gallery: list[PersonResult],
    kind: str,
    method: str,
    against: str,
) -> torch.Tensor:
    """Probes of a method `(N, M)` against the gallery, or the attacker's own gallery."""
    probes = torch.stack([result.probe(judge.name, method) for result in results])
    entries = torch.stack([result.tensors[f"{kind}/{judge.name}/{against}"] for result in gallery])
    return metrics.pairwise(judge.recognizer, probes, entries)


def strangers(distances: torch.Tensor) -> torch.Tensor:
    """Of distances `(N, M)` those between different people; entry `i` belongs to probe `i`."""
    return distances[~torch.eye(*distances.shape, dtype=torch.bool)]


def _recognizer(judge: Judge, pairs: list[PersonResult]) -> dict:
    """How well it tells these people apart before anything is done to them."""
    about: dict = {
        "seen": judge.seen,
        "threshold_published": judge.recognizer.threshold,
        "far_published": judge.recognizer.far,
        "threshold_far": None,
        "impostor_pairs": 0,
    }
    if len(pairs) > 1:
        away = gallery_distances(judge, pairs, pairs, "gallery", ORIGINAL, ORIGINAL)
        impostors, genuine = strangers(away), away.diagonal()
        threshold = metrics.calibrated_threshold(impostors, FAR)
        about |= {
            "threshold_far": threshold,
            "impostor_pairs": len(impostors),
            "tar_before": (genuine < threshold).float().mean().item(),
            "auc_before": metrics.area_under_roc(genuine, impostors),
            "eer_before": metrics.equal_error_rate(genuine, impostors),
        }
    return about


def _privacy(
    judge: Judge, method: str, tried: list[PersonResult], pairs: list[PersonResult], about: dict
) -> dict:
    """Verification, identification and attacks with one recogniser.

    `own` compares with the very photo that was anonymized, `other` with another photo of the
    person; both at the threshold calibrated on this set, and `_published` at the recogniser's.
    """
    recognizer = judge.recognizer
    before = torch.stack([result.probe(judge.name, ORIGINAL) for result in tried])
    after = torch.stack([result.probe(judge.name, method) for result in tried])
    own = distance(recognizer, after, before)
    threshold = about["threshold_far"] or recognizer.threshold
    numbers: dict = {
        "distance_own": own.mean().item(),
        "match_rate_own": (own < threshold).float().mean().item(),
        "match_rate_own_interval": metrics.interval((own < threshold).numpy()),
        "match_rate_own_published": (own < recognizer.threshold).float().mean().item(),
    }
    if len(tried) > 1:
        numbers["collapse_ratio"] = metrics.collapse_ratio(recognizer, after, before)
    ours, gallery = probes_and_gallery(judge, method, pairs)
    numbers["pairs"] = len(ours)
    if not ours or len(gallery) < 2:
        return numbers
    away = gallery_distances(judge, ours, gallery, "gallery", method, ORIGINAL)
    genuine, impostors = away.diagonal(), strangers(away)
    was = gallery_distances(judge, ours, ours, "gallery", ORIGINAL, ORIGINAL).diagonal() < threshold
    hits = {rank: metrics.linked(away, rank) for rank in (1, 5)}
    numbers |= {
        "distance_other": genuine.mean().item(),
        "match_rate_other": (genuine < threshold).float().mean().item(),
        "match_rate_other_interval": metrics.interval((genuine < threshold).numpy()),
        "match_rate_other_published": (genuine < recognizer.threshold).float().mean().item(),
        "protection": metrics.protection(was, genuine < threshold),
        "linkage_rank_1": hits[1].float().mean().item(),
        "linkage_rank_1_interval": metrics.interval(hits[1].numpy()),
        "linkage_rank_5": hits[5].float().mean().item(),
        "chance_rank_1": 1 / len(gallery),
        "chance_rank_5": min(1.0, 5 / len(gallery)),
        "auc": metrics.area_under_roc(genuine, impostors),
        "eer": metrics.equal_error_rate(genuine, impostors),
    }
    for kind, name in (("attacker", "same_tool"), ("attacker with key", "same_tool_with_key")):
        if all(f"{kind}/{judge.name}/{method}" in result.tensors for result in gallery):
            away = gallery_distances(judge, ours, gallery, kind, method, method)
            numbers[f"linkage_rank_1_{name}"] = metrics.linkage(away)
            numbers[f"match_rate_{name}"] = (away.diagonal() < threshold).float().mean().item()
    return numbers


def _undone(
    judges: Sequence[Judge], method: str, pairs: list[PersonResult], population: Population
) -> dict[str, float]:
    """Rank 1 of who knows the method: undoing the reflection, or taking the least similar person.

    Only the guide's embedding has a reference population to reflect about.
    """
    guide = next(one for one in judges if one.seen)
    ours, everybody = probes_and_gallery(guide, method, pairs)
    if not ours or len(everybody) < 2:
        return {}
    after = torch.stack([result.probe(guide.name, method) for result in ours])
    gallery = torch.stack([result.gallery(guide.name) for result in everybody])
    away = metrics.pairwise(guide.recognizer, after, gallery)
    return {
        "linkage_rank_1_undone": metrics.linkage(metrics.undone_distances(population, after, gallery)),
        "linkage_rank_1_least_similar": metrics.linkage(-away),
        "chance_rank_1": 1 / len(everybody),
    }


def _means(tried: list[PersonResult], method: str) -> dict[str, dict]:
    """Similarity and utility: the mean over people and its interval."""
    numbers = {}
    measured = [result.numbers[method] for result in tried]
    for name in dict.fromkeys(name for one in measured for name in one):
        # without people to whom the question does not apply
        values = np.array([one[name] for one in measured if name in one])
        low, high = metrics.interval(values) if name in SHARES else metrics.bootstrap(values)
        numbers[name] = {"mean": float(values.mean()), "interval": [low, high]}
    return numbers


def _realism(tried: list[PersonResult], method: str) -> dict:
    """Against the unchanged faces of the same people, in the feature space of `Instruments`."""
    if len(tried) < 5:
        return {}
    real = torch.stack([result.tensors[f"features/{ORIGINAL}"] for result in tried])
    made = torch.stack([result.tensors[f"features/{method}"] for result in tried])
    precision, recall = metrics.precision_recall(real, made)
    return {
        "pictures": len(tried),
        "frechet": metrics.frechet_distance(real, made),
        "precision": precision,
        "recall": recall,
        "small_sample": len(tried) < SMALL,
    }


def _calibration(results: list[PersonResult]) -> dict[str, dict]:
    """What was asked of a control and what came out: mean and the mean miss."""
    found: dict[str, dict[float, list[float]]] = {}
    for result in results:
        for control, numbers in result.asked.items():
            for asked, reached in zip(numbers[::2], numbers[1::2], strict=True):
                found.setdefault(control, {}).setdefault(asked, []).append(reached)
    return {
        control: {
            f"{asked:g}": {
                "reached": float(np.mean(values)),
                "miss": float(np.mean(np.abs(np.array(values) - asked))),
                "people": len(values),
            }
            for asked, values in sorted(points.items())
        }
        for control, points in found.items()
    }


def points(summary: dict) -> list[dict]:
    """Every method as a point of the trade-off: how similar, how many are matched or found.

    By the unseen recogniser that sees most; by the guide when there is none. With 95 % intervals.
    """
    judges = summary["recognizers"]
    names = [name for name, one in judges.items() if not one["seen"]] or list(judges)
    made = []
    for method, about in summary["methods"].items():
        if method == OTHER_PHOTO:
            continue
        found = [about["privacy"][name] for name in names]
        found = [one for one in found if one.get("match_rate_other") is not None]
        if not found:
            continue
        point = {
            "method": method,
            "st_lpips": about["means"]["st_lpips"]["mean"],
            "people": about["people"],
        }
        for measure, key in (("matched", "match_rate_other"), ("linkage", "linkage_rank_1")):
            worst = max(found, key=lambda one: one[key])
            point |= {measure: worst[key], f"{measure}_interval": worst[f"{key}_interval"]}
        made.append(point)
    return made
