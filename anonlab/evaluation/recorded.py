"""What a run records of one data set and is held to, and which way each number is better."""

from __future__ import annotations

from ..notebook.measured import Declaration, declare, higher, lower, reference, shown
from .judging import BETTER, SHARES
from .privacy import OTHER_PHOTO

PRIVACY: dict[str, Declaration] = {  # of what one recogniser says of one method
    "distance_own": higher,
    "distance_other": higher,
    **dict.fromkeys(("match_rate_own", "match_rate_own_published", "match_rate_other"), lower),
    "protection": higher,
    **dict.fromkeys(("rank_1", "rank_5", "rank_1_same_tool"), lower),
    "auc": lower,  # the attacker's
    "eer": higher,  # the attacker's errors
}
NO_SHARES = ("distance_own", "distance_other", "auc", "eer")  # of PRIVACY


def numbers(judged: dict) -> dict:
    """The numbers of `Evaluation.sets[…]`: no intervals, one level a method. Only the result can become
    better or worse: what recognisers, untouched photos and other methods score has to stay."""
    people = judged["people"]
    recorded: dict = {"people": reference(people), "fingerprint": reference(judged["fingerprint"])}
    for method, means in judged["similarity"].items():
        found = {name: one["mean"] for name, one in means.items()}
        recorded[method] = _declared(method, found, BETTER, dict.fromkeys(SHARES, people))
    for judge, about in judged["found"].items():
        for method, one in about.get("methods", {}).items():
            found = {name: one[name] for name in PRIVACY if isinstance(one.get(name), float)}
            shares = {name: people for name in PRIVACY if name not in NO_SHARES}
            # rounding moves comparisons of different people past each other: no better than one of them
            shares["auc"] = max(1, people * (people - 1))
            recorded.setdefault(method, {})[judge] = _declared(method, found, PRIVACY, shares)
    return recorded


def _declared(method: str, values: dict, table: dict[str, Declaration], shares: dict[str, int]) -> dict:
    if method != "result":
        table = dict.fromkeys(table, shown if method == OTHER_PHOTO else reference)
    return declare(values, table, shares)
