"""Tables of an evaluation in Markdown, and its headline."""

from __future__ import annotations

from .judges.kept import LABELS
from .judges.worn import PLACES
from .judging import HOW_TO_ADD
from .privacy import KEYED, OTHER_PHOTO

SMALL = 40  # people below which a number is a trial of the protocol
DAYS = {"lfw": "LFW (mostly different days)", "london": "London (one session)"}
WORN = tuple(f"{name}_{what}" for name in PLACES for what in ("kept", "come"))
SHARES = ("found", *WORN, *(f"{name}_kept" for name in LABELS))
NAMED = {  # of the table that fits a screen: measure -> what a reader calls it
    "gaze_error": "gaze off by, degrees",
    "gaze_x, correlation": "gaze sideways, correlation",
    "eye_opening, correlation": "eye opening, correlation",
    "mouth_opening, correlation": "mouth opening, correlation",
    "expression_kept": "expression label kept",
    "ethnicity_kept": "apparent ethnicity kept",
    "age_error": "age off by, years",
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def written(value: float | None, form: str) -> str:
    """Write a number; a dash where there is none."""
    return "–" if value is None else format(value, form)


def number(name: str, value: float | None) -> str:
    """Write a measure: shares in per cent, a dash for what no person could be asked."""
    return written(value, ".0%" if name in SHARES else ".2f")


def kept_table(found: dict, names: dict[str, str] | None = None) -> str:
    """Tell what stays: of an unchanged face, the result with its interval, another photo."""
    kept = found["kept"]
    rows = []
    for name in names or kept["result"]:
        low, high = (number(name, one) for one in kept["result"][name]["interval"])
        unchanged, result, other = (
            number(name, kept[which][name]["value"]) for which in ("unchanged", "result", OTHER_PHOTO)
        )
        rows.append([(names or {}).get(name, name), unchanged, f"**{result}** ({low} to {high})", other])
    return table(["", "unchanged", "anonymized (95 %)", OTHER_PHOTO], rows)


def percent(value: float | None, interval: list[float] | None = None) -> str:
    """Write a share, with its interval; a dash where there is none."""
    return written(value, ".1%") + (f" ({interval[0]:.0%}–{interval[1]:.0%})" if interval else "")


def cells_table(found: dict) -> str:
    """List each cell of yaw, size and stated group; the worst of each measure in bold."""
    measures = ["gaze_error", "eye_error", "mouth_error", "mesh_error", "expression_kept",
                "ethnicity_kept", "age_error"]  # fmt: skip
    rows, worst = [], found["cells"]["worst"]
    for name, one in found["cells"].items():
        if name == "worst":
            continue
        values = {key: number(key, one[key]) for key in measures}
        cells = [f"**{value}**" if worst[key] == name else value for key, value in values.items()]
        rows.append([name, str(one["people"]), *cells])
    return table(["people who are", "n", *(one.replace("_", " ") for one in measures)], rows)


def truth_table(found: dict) -> str:
    """Compare GEAR with what people say of themselves: accuracy on both photos, and on the result."""
    photo, other, result = (found["truth"][name] for name in ("photo", OTHER_PHOTO, "result"))
    rows = []
    for name, one in photo.items():
        of = (one, other[name], result[name])
        if name == "age":
            cells = [f"{each['error']:.1f} years, bias {each['bias']:+.1f}" for each in of]
            read = "–"
        else:
            cells = [percent(each["right"] / each["people"]) for each in of]
            read = ", ".join(f"{count} {word}" for word, count in one["read_as"].items())
        rows.append([name, str(one["people"]), *cells, read])
    head = ["stated", "people", "right on the photo", "on another photo", "anonymized"]
    return table([*head, "the photo is read as"], rows)


def realism_table(found: dict) -> str:
    """Compare inner faces as a set with the unchanged ones and the other photos."""
    one = found["realism"]
    rows = [
        [name, *(f"{one[name][key]:.3f}" for key in ("frechet", "precision", "recall"))]
        for name in ("unchanged", "result", OTHER_PHOTO)
    ]
    head = f"{one['pictures']} inner faces of {one['side']} px; {one['backbone']}"
    return table([head, "Fréchet", "precision", "recall"], rows)


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
    names = list(dict.fromkeys(name for one in judges.values() for name in one["attacks"]))
    of = {name: [one["attacks"].get(name) for one in judges.values()] for name in names}
    names.sort(key=lambda name: -max(one["rank_1"] for one in of[name] if one))
    rows = []
    for name in names:
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
    keys = ("rank_1", "rank_5", "tar_0.01", "tar_0.001", "tar_0.0001", "auc", "eer")
    titles = ["rank 1", "rank 5", "TAR, FAR 1e-2", "1e-3", "1e-4", "AUC", "EER"]
    rows = [
        [name, *(written(one["originals"][x], ".3f") for x in keys)]
        for name, one in unseen(found).items()
    ]
    return table(["untouched photos", *titles], rows)


def leakage_table(found: dict) -> str:
    """Tell what the face adds to its surroundings, how linkable two keys' results are, and how often
    different people match."""
    rows = []
    for name, one in unseen(found).items():
        leaks = [
            f"{leak['value']:+.1%} ({leak['interval'][0]:+.0%} to {leak['interval'][1]:+.0%})"
            for leak in one["leakage"].values()
        ]
        rows.append([name, *leaks, *(f"{value:.2f}" for value in one["d_sys"].values()),
                     *(f"{value:.2%}" for value in one["collapse"].values())])  # fmt: skip
    first = next(iter(unseen(found).values()))
    head = [f"L, {name}" for name in first["leakage"]] + [f"D_sys, {name}" for name in first["d_sys"]]
    return table(["", *head, *(f"different {name} match" for name in first["collapse"])], rows)


def methods_table(found: dict) -> str:
    """List every way to hide the face, by every recogniser: matched with another photo, rank 1, and that
    in a gallery that went through the same method; and how similar it is."""
    judges = {name: one for name, one in found["found"].items() if "methods" in one}
    names = list(next(iter(judges.values()))["methods"])
    similar = ("st_lpips", "ssim_outside", "landmark_error")
    rows = []
    for name in [*names, OTHER_PHOTO]:
        cells = [name]
        for one in judges.values():
            said = one["methods"].get(name, {})
            cells += [percent(said.get(x)) for x in ("match_rate_other", "rank_1", "rank_1_same_tool")]
        means = {x: one["mean"] for x, one in found["similarity"].get(name, {}).items()}
        cells += [written(means.get(x), ".3f") for x in similar]
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
