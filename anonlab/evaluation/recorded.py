"""What a run records of its summary and is held to, and which way each number is better."""

from __future__ import annotations

from ..measured import Declaration, Measured, declare, higher, lower, reference, shown
from .judging import BETTER, SHARES
from .methods import OTHER_PHOTO

PRIVACY: dict[str, Declaration] = {  # of what one recogniser says of one method
    "distance_own": higher,
    "distance_other": higher,
    **dict.fromkeys(("match_rate_own", "match_rate_own_published"), lower),
    **dict.fromkeys(("match_rate_other", "match_rate_other_published"), lower),
    "collapse_ratio": higher,
    "protection": higher,
    **dict.fromkeys(("linkage_rank_1", "linkage_rank_5"), lower),
    "auc": lower,  # the attacker's
    "eer": higher,  # the attacker's errors
    **dict.fromkeys(("linkage_rank_1_same_tool", "match_rate_same_tool"), lower),
    # the key is there so that one person keeps one new face
    **dict.fromkeys(("linkage_rank_1_same_tool_with_key", "match_rate_same_tool_with_key"), higher),
}
UNDONE = dict.fromkeys(("linkage_rank_1_undone", "linkage_rank_1_least_similar"), lower)
REALISM: dict[str, Declaration] = {"frechet": lower, "precision": higher, "recall": higher}
NO_SHARES = ("distance_own", "distance_other", "collapse_ratio", "auc", "eer")  # of PRIVACY
OF_PEOPLE = ("match_rate_own", "match_rate_own_published")  # shares of everybody, others of pairs


def numbers(summary: dict) -> dict:
    """What a run records and is held to: no intervals, one level for each method.

    Every number says which way is better. Only anonlab can become better or worse: what the
    recognisers, the untouched photos and the peers score has to stay.
    """
    recorded: dict = {
        name: reference(summary[name])
        for name in ("people", "people_in_gallery", "problems", "unseen_recognisers")
    }
    for name, one in summary["recognizers"].items():
        recorded[name] = reference(
            {key: one.get(key) for key in ("threshold_far", "auc_before", "eer_before")}
        )
    for method, about in summary["methods"].items():
        recorded[method] = _recorded(method, about)
    for control, levels in summary["calibration"].items():
        recorded.setdefault("calibration", {})[control] = {
            asked: declare(found, {"reached": reference, "miss": lower, "people": reference})
            for asked, found in levels.items()
        }
    return recorded | {"fingerprint": reference(summary["fingerprint"])}


def _recorded(method: str, about: dict) -> dict:
    """The numbers of one method."""

    def declared(
        values: dict, table: dict[str, Declaration], shares: dict[str, int]
    ) -> dict[str, Measured]:
        if not method.startswith("anonlab"):
            table = dict.fromkeys(table, shown if method == OTHER_PHOTO else reference)
        return declare(_floats(values), table, shares)

    people = about["people"]
    line: dict = {"n": reference(people)}
    means = {name: value["mean"] for name, value in about["means"].items()}
    line |= declared(means, BETTER, dict.fromkeys(SHARES, people))
    line |= declared(about["realism"], REALISM, dict.fromkeys(("precision", "recall"), people))
    for judge, found in about.get("privacy", {}).items():
        pairs = found["pairs"]
        shares = {name: pairs for name in (*PRIVACY, *UNDONE) if name not in NO_SHARES}
        shares |= dict.fromkeys(OF_PEOPLE, people)
        # rounding moves comparisons of different people past each other: no better than to one of them
        shares["auc"] = max(1, pairs * (pairs - 1))
        line[judge] = {"n": reference(pairs)} | declared(found, PRIVACY, shares)
        line |= declared(about.get("undone", {}), UNDONE, shares)
    return line


def _floats(values: dict) -> dict[str, float]:
    """Without intervals, counts and what chance alone would give."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, float) and not name.startswith("chance")
    }
