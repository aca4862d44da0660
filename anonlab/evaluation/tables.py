"""Reference tables made from `data/judged.json`: `python -m anonlab.evaluation.tables` writes them
between the marks of data/README.md and README.md, and changes nothing where they are there already.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputDamaged
from ..files import atomic_path
from ..weights.store import data_folder
from .summary import SMALL

JUDGED = "judged.json"
BEGIN, END = "<!-- made by python -m anonlab.evaluation.tables -->", "<!-- end -->"
DAYS = {"lfw": "LFW (mostly different days)", "london": "London (one session)"}
SHARES = (
    "found",
    "glasses_kept",
    "glasses_come",
    "expression_kept",
    "emotion_kept",
    "ethnicity_kept",
    "gender_kept",
)
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
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(name: str, value: float | None) -> str:
    """A measure as it is read: shares in per cent, a dash for what no person could be asked."""
    if value is None:
        return "–"
    return f"{value:.0%}" if name in SHARES else f"{value:.2f}"


def kept_table(found: dict, names: dict[str, str] | None = None) -> str:
    """What stays: an unchanged face, the result with its interval, another photo of the person."""
    kept = found["kept"]
    rows = []
    for name in names or kept["result"]:
        low, high = (number(name, one) for one in kept["result"][name]["interval"])
        unchanged, result, other = (
            number(name, kept[which][name]["value"])
            for which in ("unchanged", "result", "another photo")
        )
        rows.append([(names or {}).get(name, name), unchanged, f"**{result}** ({low} to {high})", other])
    return table(["", "unchanged", "anonymized (95 %)", "another photo"], rows)


def privacy_table(found: dict) -> str:
    """Every attack by every recogniser: rank 1 with its interval, rank 5 and match rate."""
    judges = found["found"]
    head = [f"{name}: {what}" for name in judges for what in ("rank 1 (95 %)", "rank 5", "match")]
    rows = []
    for attack in next(iter(judges.values()))["attacks"]:
        cells = [attack]
        for judge in judges.values():
            one = judge["attacks"][attack]
            low, high = one["rank_1_interval"]
            cells += [f"{one['rank_1']:.1%} ({low:.0%}–{high:.0%})", f"{one['rank_5']:.1%}",
                      f"{one['match']:.1%}" if "match" in one else "–"]  # fmt: skip
        rows.append(cells)
    return table(["compared with the person", *head], rows)


def recognisers_table(found: dict) -> str:
    """How well each recogniser works before anything is done."""
    keys = ("rank_1", "rank_5", "tar_0.01", "tar_0.001", "tar_0.0001", "auc", "eer")
    titles = ["rank 1", "rank 5", "TAR, FAR 1e-2", "1e-3", "1e-4", "AUC", "EER"]
    rows = [
        [
            name,
            *("–" if one["originals"][key] is None else f"{one['originals'][key]:.3f}" for key in keys),
        ]
        for name, one in found["found"].items()
    ]
    return table(["untouched photos", *titles], rows)


def leakage_table(found: dict) -> str:
    """What the face adds to its surroundings, and how linkable two keys' results are."""
    rows = []
    for name, one in found["found"].items():
        leaks = [
            f"{leak['value']:+.1%} ({leak['interval'][0]:+.0%} to {leak['interval'][1]:+.0%})"
            for leak in one["leakage"].values()
        ]
        rows.append([name, *leaks, *(f"{value:.2f}" for value in one["d_sys"].values())])
    first = next(iter(found["found"].values()))
    head = [f"L, {name}" for name in first["leakage"]] + [f"D_sys, {name}" for name in first["d_sys"]]
    return table(["", *head], rows)


def cells_table(found: dict) -> str:
    """Each cell of yaw, size and stated group; the worst of each measure in bold."""
    measures = ["gaze_error", "eye_error", "mouth_error", "mesh_error", "expression_kept",
                "ethnicity_kept", "age_error"]  # fmt: skip
    worst = found["cells"]["worst"]
    rows = [
        [name, str(one["people"]), *(
            f"**{number(key, one[key])}**" if worst[key] == name else number(key, one[key])
            for key in measures
        )]
        for name, one in found["cells"].items() if name != "worst"
    ]  # fmt: skip
    return table(["people who are", "n", *(one.replace("_", " ") for one in measures)], rows)


def truth_table(found: dict) -> str:
    """GEAR against what people say of themselves, before and after."""
    before, after = (found["truth"][name] for name in ("photo", "result"))
    rows = []
    for name, one in before.items():
        then = after[name]
        if name == "age":
            cells = [f"{each['error']:.1f} years, bias {each['bias']:+.1f}" for each in (one, then)]
        else:
            cells = [f"{each['right']} right" for each in (one, then)]
        rows.append([name, str(one["people"]), *cells])
    return table(["stated", "people", "photo", "anonymized"], rows)


def realism_table(found: dict) -> str:
    """Inner faces as a set, beside the unchanged ones and the other photos."""
    one = found["realism"]
    rows = [
        [name, *(f"{one[name][key]:.3f}" for key in ("frechet", "precision", "recall"))]
        for name in ("unchanged", "result", "another photo")
    ]
    head = f"{one['pictures']} inner faces of {one['side']} px; {one['backbone']}"
    return table([head, "Fréchet", "precision", "recall"], rows)


def title(name: str, found: dict) -> str:
    """A set by its name, how many people, and whether they are too few."""
    few = "" if found["people"] >= SMALL else " (a trial of the protocol, too few for a claim)"
    return f"{DAYS.get(name, name)}, {found['people']} people{few}"


def reference(judged: dict) -> str:
    """All tables, set by set."""
    parts = []
    for name, found in judged["sets"].items():
        parts += [f"### {title(name, found)}"]
        parts += ["What stays:", kept_table(found), "By group:", cells_table(found)]
        if found["realism"]:
            parts += ["Realism:", realism_table(found)]
        if found["truth"]:
            parts += ["Against what people state:", truth_table(found)]
        chance = next(iter(found["found"].values()))["originals"]["chance"]
        parts += ["Recognisers that took no part:", recognisers_table(found)]
        parts += [f"Who is found (chance {chance:.1%} at rank 1):", privacy_table(found)]
        parts += ["What the face adds to its surroundings:", leakage_table(found)]
    return "\n\n".join(parts)


def screen(judged: dict) -> str:
    """The README's: the different-day set first, what stays and who is found."""
    name, found = next(iter(sorted(judged["sets"].items())))
    parts = [f"{title(name, found)}:", kept_table(found, NAMED)]
    rows = []
    for judge, one in found["found"].items():
        attacks, leak = one["attacks"], one["leakage"]["result"]
        low, high = attacks["result, another photo"]["rank_1_interval"]
        rows.append([
            judge, f"{one['originals']['rank_1']:.1%}",
            f"**{attacks['result, another photo']['rank_1']:.1%}** ({low:.0%}–{high:.0%})",
            f"{attacks['stranger of the group, another photo']['rank_1']:.1%}",
            f"{attacks['same tool, another key']['rank_1']:.1%}",
            f"{attacks['surroundings']['rank_1']:.1%}", f"{leak['value']:+.1%}",
        ])  # fmt: skip
    head = ["found first, by", "before", "anonymized (95 %)", "a stranger of the group", "same tool",
            "surroundings alone", "the face adds"]  # fmt: skip
    return "\n\n".join([*parts, table(head, rows)])


def marked(text: str, made: str, path: Path) -> str:
    """`text` with `made` between its marks. Raises `InputDamaged` where there are none."""
    start, end = text.find(BEGIN), text.find(END)
    if not 0 <= start < end:
        raise InputDamaged(f"{path} lacks the marks {BEGIN} and {END}; put them where the table goes")
    return f"{text[:start]}{BEGIN}\n\n{made}\n\n{text[end:]}"


def pages() -> dict[Path, str]:
    """The pages as they should be, by path."""
    folder = data_folder()
    judged = json.loads((folder / JUDGED).read_text())
    made = {folder / "README.md": reference(judged), folder.parent / "README.md": screen(judged)}
    return {path: marked(path.read_text(), text, path) for path, text in made.items()}


if __name__ == "__main__":
    for page, text in pages().items():
        with atomic_path(page) as partial:
            partial.write_text(text)
