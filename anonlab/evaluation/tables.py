"""Tables of an evaluation in Markdown, its headline, and the numbers that a run is held to."""

from __future__ import annotations

from ..notebook.measured import Declaration, declare, higher, lower, reference, shown
from .judges.kept import LABELS
from .judges.worn import PLACES
from .judging import BETTER, HOW_TO_ADD, SHARES
from .privacy import KEYED, OTHER_PHOTO

SMALL = 40  # people below which a number is a trial of the protocol
DAYS = {"lfw": "LFW (mostly different days)", "london": "London (one session)"}
WORN = tuple(f"{name}_{what}" for name in PLACES for what in ("kept", "come"))
IN_PERCENT = ("found", *WORN, *(f"{name}_kept" for name in LABELS))
NAMED = {  # of the table that fits a screen: measure -> what a reader calls it
    "gaze_error": "gaze off by, degrees",
    "gaze_x, correlation": "gaze sideways, correlation",
    "eye_opening, correlation": "eye opening, correlation",
    "mouth_opening, correlation": "mouth opening, correlation",
    "expression_kept": "expression label kept",
    "ethnicity_kept": "apparent ethnicity kept",
    "age_error": "age off by, years",
}

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


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    first, *others = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])


def written(value: float | None, form: str) -> str:
    """Write a number; a dash where there is none."""
    return "–" if value is None else format(value, form)


def number(name: str, value: float | None) -> str:
    """Write a measure: shares in per cent, a dash for what no person could be asked."""
    return written(value, ".0%" if name in IN_PERCENT else ".2f")


def percent(value: float | None, interval: list[float] | None = None) -> str:
    """Write a share, with its interval; a dash where there is none."""
    return written(value, ".1%") + (f" ({interval[0]:.0%}–{interval[1]:.0%})" if interval else "")


def kept_table(found: dict, names: dict[str, str] | None = None) -> str:
    """Tell what stays: of an unchanged face, the result with its interval, another photo."""
    unchanged, result, other = (found["kept"][one] for one in ("unchanged", "result", OTHER_PHOTO))
    rows = []
    for name in names or result:
        low, high = (number(name, one) for one in result[name]["interval"])
        before, now, away = (number(name, one[name]["value"]) for one in (unchanged, result, other))
        rows.append([(names or {}).get(name, name), before, f"**{now}** ({low} to {high})", away])
    return table(["", "unchanged", "anonymized (95 %)", OTHER_PHOTO], rows)


def unseen(found: dict) -> dict[str, dict]:
    """Return what the recognisers say that took no part."""
    return {name: one for name, one in found["found"].items() if not one["seen"] and "originals" in one}


def heads(judges: dict[str, dict], *columns: str) -> list[str]:
    """Name the columns of every recogniser."""
    titles = [name + " (guide)" * one["seen"] for name, one in judges.items()]
    return [f"{title}: {column}" for title in titles for column in columns]


def privacy_table(found: dict) -> str:
    """List every attack by every recogniser, most found first: rank 1 with its interval, rank 5, and the
    share that matches at a false-accept rate of 1e-3 (a dash with too few pairs)."""
    judges = found["found"]
    names = dict.fromkeys(name for one in judges.values() for name in one["attacks"])
    of = {name: [one["attacks"].get(name) for one in judges.values()] for name in names}
    rows = []
    for name in sorted(names, key=lambda name: -max(one["rank_1"] for one in of[name] if one)):
        cells = [name]
        for one in of[name]:
            cells += ["–", "–"] if one is None else [
                percent(one["rank_1"], one["rank_1_interval"]),
                f"{percent(one['rank_5'])}, {percent(one.get('match', one['match_own']))}",
            ]  # fmt: skip
        rows.append(cells)
    head = heads(judges, "rank 1 (95 %)", "rank 5, match")
    return table(["what is compared with the person", *head], rows)


def recognisers_table(found: dict) -> str:
    """Tell how well each recogniser works before anything is done."""
    titles = {"rank_1": "rank 1", "rank_5": "rank 5", "tar_0.01": "TAR, FAR 1e-2", "tar_0.001": "1e-3",
              "tar_0.0001": "1e-4", "auc": "AUC", "eer": "EER"}  # fmt: skip
    rows = [
        [name, *(written(one["originals"][x], ".3f") for x in titles)]
        for name, one in unseen(found).items()
    ]
    return table(["untouched photos", *titles.values()], rows)


def leakage_table(found: dict) -> str:
    """Tell what the face adds to its surroundings, how linkable two keys' results are, and how often
    different people match."""
    rows, head = [], [""]
    for name, one in unseen(found).items():
        cells = {f"L, {key}": f"{leak['value']:+.1%} ({leak['interval'][0]:+.0%} to "
                 f"{leak['interval'][1]:+.0%})" for key, leak in one["leakage"].items()}  # fmt: skip
        cells |= {f"D_sys, {key}": f"{value:.2f}" for key, value in one["d_sys"].items()}
        cells |= {f"different {key} match": f"{value:.2%}" for key, value in one["collapse"].items()}
        rows.append([name, *cells.values()])
        head = ["", *cells]
    return table(head, rows)


def methods_table(found: dict) -> str:
    """List every way to hide the face, by every recogniser: matched with another photo, rank 1, and that
    in a gallery that went through the same method; and how similar it is."""
    judges = {name: one for name, one in found["found"].items() if "methods" in one}
    rows = []
    for name in [*next(iter(judges.values()))["methods"], OTHER_PHOTO]:
        cells = [name]
        for one in judges.values():
            said = one["methods"].get(name, {})
            cells += [percent(said.get(x)) for x in ("match_rate_other", "rank_1", "rank_1_same_tool")]
        means = {x: one["mean"] for x, one in found["similarity"].get(name, {}).items()}
        cells += [written(means.get(x), ".3f") for x in ("st_lpips", "ssim_outside", "landmark_error")]
        rows.append([*cells, percent(means.get("detected"))])
    head = heads(judges, "matched", "rank 1", "same tool, rank 1")
    return table(["", *head, "ST-LPIPS", "SSIM outside", "68 points", "face found"], rows)


def title(name: str, found: dict) -> str:
    """Name a set, how many people it has, and whether they are too few."""
    few = "" if found["people"] >= SMALL else " (a trial of the protocol, too few for a claim)"
    return f"{DAYS.get(name, name)}, {found['people']} people{few}"


def strongest(judges: dict[str, dict]) -> tuple[str, str, dict]:
    """Find the attack on results, without the user's key, that most people are found by: its name, the
    recogniser's, and its numbers."""
    asked = [
        (attack, judge, one)
        for judge, said in judges.items()
        for attack, one in said["attacks"].items()
        if attack != KEYED and "surroundings" not in attack and "stranger" not in attack
    ]
    return max(asked, key=lambda one: one[2]["rank_1"])


def headline(name: str, found: dict) -> str:
    """Claim no more than was measured, in one sentence: the worst attack by a recogniser that took no
    part."""
    judges = {key: one for key, one in found["found"].items() if not one["seen"]}
    if not judges:
        return f"no unseen recogniser: privacy not established; {HOW_TO_ADD}"
    attack, judge, one = strongest(judges)
    return (
        f"{title(name, found)}: the worst attack on results ({attack}, by {judge}) finds "
        f"{percent(one['rank_1'], one['rank_1_interval'])} first; chance {percent(one['chance'])}"
    )


def numbers(judged: dict) -> dict:
    """Collect the numbers of `Evaluation.sets[…]`: no intervals, one level a method. Only the result can
    become better or worse: what recognisers, untouched photos and other methods score has to stay."""
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
