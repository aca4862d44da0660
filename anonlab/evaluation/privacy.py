"""Which people are still found, in one data set and by one recogniser, by thresholds of that set alone.

Photos of one session and photos of different days ask different questions, so sets are never pooled.
An attack is a table of distances `(N, M)` from probes to a gallery; gallery entry `i` belongs to probe
`i`, and the smaller a distance, the likelier the same person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from ..identity.population import Population
from ..metrics import privacy as metrics
from ..metrics.intervals import interval
from ..recognizers import distance
from .judging import Judge
from .learned import guessed_distances, learn_ridge
from .pictures import OPTIONAL, of_other_photo

Embeddings = dict[str, torch.Tensor]  # by the picture's name, `(N, dim)`; NaN where there is none

FARS = (1e-2, 1e-3, 1e-4)
FAR = 1e-3  # of every match rate
ORIGINAL, OTHER_PHOTO = "original", "another photo"
ANOTHER, KEYED = "result, another photo", "same tool, the user's key"
UNION = "all together"  # the recognisers that took no part
ATTACKS = {  # what is compared with what: names of pictures
    ANOTHER: ("result", "other photo"),
    "result, the very photo": ("result", "photo"),
    "stranger of the group, another photo": ("stranger", "other photo"),
    "stranger of the group, the very photo": ("stranger", "photo"),
    "same tool, another key": ("result", "other photo, other key"),
    "same tool, other key and settings": ("result", "other photo, other settings"),
    KEYED: ("result", "other photo, same key"),  # what the key's owner sees: no attack
    "surroundings": ("surroundings", "other surroundings"),
    "surroundings of the larger mask": ("strict surroundings", "strict other surroundings"),
}
LEAKS = {
    "result": ANOTHER,
    "result, same tool": "same tool, another key",
    "stranger of the group": "stranger of the group, another photo",
}


def strangers(distances: torch.Tensor) -> torch.Tensor:
    """Return those of distances `(N, M)` that lie between different people."""
    return distances[~torch.eye(*distances.shape, dtype=torch.bool)]


def away(judge: Judge, embeddings: Embeddings, probe: str, gallery: str) -> torch.Tensor:
    """Return distances `(N, N)` between two pictures of all people."""
    return metrics.pairwise(judge.recognizer, embeddings[probe], embeddings[gallery])


def recognition(distances: torch.Tensor) -> dict:
    """Say how well distances `(N, M)` tell people apart: TAR at `FARS`, AUC, EER, rank 1, rank 5."""
    genuine, impostors = distances.diagonal(), strangers(distances)
    rates = {f"tar_{far:g}": metrics.true_accept_rate(genuine, impostors, far) for far in FARS}
    return {
        **{name: None if math.isnan(rate) else rate for name, rate in rates.items()},  # too few pairs
        "auc": metrics.area_under_roc(genuine, impostors),
        "eer": metrics.equal_error_rate(genuine, impostors),
        "rank_1": metrics.linkage(distances),
        "rank_1_interval": interval(metrics.linked(distances).numpy()),
        "rank_5": metrics.linkage(distances, 5),
        "chance": 1 / distances.shape[1],
    }


def rate(hits: torch.Tensor, name: str = "match") -> dict:
    """Return a share of people with its interval."""
    return {name: hits.float().mean().item(), f"{name}_interval": interval(hits.numpy())}


def attacks(
    judge: Judge,
    embeddings: Embeddings,
    pairs: Embeddings | None = None,
    population: Population | None = None,
) -> dict[str, torch.Tensor]:
    """Return every attack by one recogniser as distances.

    `pairs` are the embeddings of generated people that attackers learn from; the reference `population`
    is of the guide's embeddings, so only the guide undoes the turn of the identity.
    """
    found = {name: away(judge, embeddings, *pair) for name, pair in ATTACKS.items()}
    probes, gallery = embeddings["result"], embeddings["other photo"]
    found["least similar"] = -found[ANOTHER]
    third = embeddings.get(OPTIONAL, torch.full_like(probes, torch.nan))
    several = ~third.isnan().any(1)
    if several.sum() > 1:  # an album of two results of one person; all others stay in the gallery
        album, order = (probes + third)[several] / 2, several.logical_not().argsort(stable=True)
        for name, which in (("photos", "other photo"), ("the same tool", "other photo, other key")):
            entries = embeddings[which][order]
            found[f"two results, against {name}"] = metrics.pairwise(judge.recognizer, album, entries)
    if pairs is not None:
        for name, given in (("learned", "result"), ("surroundings, learned", "surroundings")):
            guess = learn_ridge(pairs[given], pairs["photo"])
            found[name] = guessed_distances(guess, embeddings[given], gallery)
    if judge.seen and population is not None:
        spread = population.read(population.embeddings).std(0)
        kept = [population.read(one) / spread for one in (probes, gallery)]
        found["kept attributes only"] = torch.cdist(*kept)  # gender, age, tone, look: kept by design
        found["turn undone"] = metrics.undone_distances(population, probes, gallery)
    return found


def united(found: Sequence[dict[str, torch.Tensor]]) -> dict:
    """Unite the attacks of several recognisers: their distances, standardised and summed."""
    common = [name for name in found[0] if all(name in one for one in found)]
    away_of = {name: metrics.fused([one[name] for one in found]) for name in common}
    return {"people": len(found[0][ANOTHER]), "seen": False, "attacks": told(away_of, None)}


def told(found: dict[str, torch.Tensor], threshold: float | None) -> dict:
    """Turn each attack into numbers. `match` is the share below `threshold`, which is of photos and so
    for galleries of photos; `match_own` at the threshold of this attack's own false accepts of `FAR`,
    which needs 1 / `FAR` pairs of strangers (null with fewer)."""
    made = {}
    for name, distances in found.items():
        own = metrics.true_accept_rate(distances.diagonal(), strangers(distances), FAR)
        made[name] = recognition(distances) | {"match_own": None if math.isnan(own) else own}
        if threshold is not None and ATTACKS.get(name, ("", ""))[1] in ("photo", "other photo"):
            made[name] |= rate(distances.diagonal() < threshold)
    return made


def found(
    judge: Judge, embeddings: Embeddings, asked: dict[str, torch.Tensor], methods: Mapping[str, str]
) -> dict:
    """Answer every question of privacy by one recogniser, from what it was `asked` (`attacks`).

    `originals` is how well it works before anything is done, `methods` are ways to hide the face: the
    name of each and that of its picture.
    """
    untouched = away(judge, embeddings, "photo", "other photo")
    threshold = metrics.calibrated_threshold(strangers(untouched), FAR)
    around = asked["surroundings"]
    linkable = {"results by two keys": asked["same tool, another key"], "surroundings": around,
                "originals": untouched}  # fmt: skip
    same = {"results": "result", "people": "photo"}
    pairs = {name: strangers(away(judge, embeddings, one, one)) for name, one in same.items()}
    return {
        "people": len(untouched),
        "seen": judge.seen,
        "threshold": threshold,
        "threshold_published": judge.recognizer.threshold,
        "originals": recognition(untouched),
        "attacks": told(asked, threshold),
        "leakage": {
            name: metrics.conditional_leakage(asked[one], around) for name, one in LEAKS.items()
        },
        "d_sys": {
            name: metrics.unlinkability(one.diagonal(), strangers(one)) for name, one in linkable.items()
        },
        "collapse": {name: (one < threshold).float().mean().item() for name, one in pairs.items()},
        "methods": {
            name: method(judge, embeddings, picture, threshold) for name, picture in methods.items()
        },
    }


def method(judge: Judge, embeddings: Embeddings, picture: str, threshold: float) -> dict:
    """Measure a way to hide the face by one recogniser: against the very photo, another photo, and a
    gallery that went through the same method."""
    own = distance(judge.recognizer, embeddings[picture], embeddings["photo"])
    table = away(judge, embeddings, picture, "other photo")
    other = table.diagonal()
    before = distance(judge.recognizer, embeddings["photo"], embeddings["other photo"])
    made = recognition(table) | {
        "distance_own": own.mean().item(),
        **rate(own < threshold, "match_rate_own"),
        "match_rate_own_published": (own < judge.recognizer.threshold).float().mean().item(),
        "distance_other": other.mean().item(),
        **rate(other < threshold, "match_rate_other"),
        "protection": metrics.protection(before < threshold, other < threshold),
    }
    tool = "other photo, other key" if picture == "result" else of_other_photo(picture)
    if tool in embeddings:
        made["rank_1_same_tool"] = metrics.linkage(away(judge, embeddings, picture, tool))
    return made
