"""Who is still found, in one data set and by one recogniser; thresholds are of that set alone.

Photos of one session and photos of different days ask different questions, so sets are never pooled.
"""

from __future__ import annotations

import math

import torch

from .. import metrics
from ..recognizers import Recognizer
from .summary import strangers

FARS = (1e-2, 1e-3, 1e-4)
ATTACKS = {  # what is compared with what: names of `pictures.NAMES`
    "result, another photo": ("result", "other photo"),
    "result, the very photo": ("result", "photo"),
    "stranger of the group, another photo": ("stranger", "other photo"),
    "stranger of the group, the very photo": ("stranger", "photo"),
    "same tool, another key": ("result", "other photo, other key"),
    "same tool, the user's key": ("result", "other photo, same key"),
    "surroundings": ("surroundings", "other surroundings"),
    "surroundings of the larger mask": ("strict surroundings", "strict other surroundings"),
}


def recognition(distances: torch.Tensor) -> dict[str, float | None]:
    """How well distances `(N, M)` tell people apart: TAR at `FARS`, AUC, EER, rank 1, rank 5."""
    genuine, impostors = distances.diagonal(), strangers(distances)
    rates = {f"tar_{far:g}": metrics.true_accept_rate(genuine, impostors, far) for far in FARS}
    # too few pairs for a rate: null in a file
    found = {name: None if math.isnan(rate) else rate for name, rate in rates.items()}
    return found | {
        "auc": metrics.area_under_roc(genuine, impostors),
        "eer": metrics.equal_error_rate(genuine, impostors),
        "rank_1": metrics.linkage(distances),
        "rank_5": metrics.linkage(distances, 5),
        "chance": 1 / distances.shape[1],
    }


def found(recognizer: Recognizer, embeddings: dict[str, torch.Tensor]) -> dict:
    """Every question of privacy, from embeddings `(N, dim)` by the names of `pictures.NAMES`.

    `originals` is how well the recogniser works before anything is done. For attacks on a gallery
    of untouched photos `match` is the share below the threshold at which 1 in 1,000 pairs of photos of
    different people match.
    """

    def away(probe: str, gallery: str) -> torch.Tensor:
        return metrics.pairwise(recognizer, embeddings[probe], embeddings[gallery])

    untouched = away("photo", "other photo")
    threshold = metrics.calibrated_threshold(strangers(untouched))
    asked = {name: away(*pair) for name, pair in ATTACKS.items()}
    attacks = {}
    for name, distances in asked.items():
        attacks[name] = recognition(distances) | {
            "rank_1_interval": metrics.interval(metrics.linked(distances).numpy()),
            "cosine": torch.cosine_similarity(*(embeddings[one] for one in ATTACKS[name])).mean().item(),
        }
        if ATTACKS[name][1] in ("photo", "other photo"):  # a threshold of photos is for photos
            matched = distances.diagonal() < threshold
            attacks[name] |= {
                "match": matched.float().mean().item(),
                "match_interval": metrics.interval(matched.numpy()),
            }
    leaks = {
        name: metrics.conditional_leakage(asked[one], asked["surroundings"])
        for name, one in (
            ("result", "result, another photo"),
            ("result, same tool", "same tool, another key"),
            ("stranger of the group", "stranger of the group, another photo"),
        )
    }  # fmt: skip
    linkable = {
        name: metrics.unlinkability(distances.diagonal(), strangers(distances))
        for name, distances in (
            ("results by two keys", asked["same tool, another key"]),
            ("surroundings", asked["surroundings"]),
            ("originals", untouched),
        )
    }
    return {
        "people": len(untouched),
        "threshold": threshold,
        "originals": recognition(untouched),
        "attacks": attacks,
        "leakage": leaks,
        "d_sys": linkable,
    }
