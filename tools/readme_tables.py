"""Write the tables of README.md, data/README.md and anonlab/README.md between their marks.

`python tools/readme_tables.py` makes them from `data/judged.json` and the fields of `Controls`, and
changes nothing where they are there already.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from anonlab.controls import Controls
from anonlab.errors import InputDamaged
from anonlab.evaluation.privacy import ANOTHER, OTHER_PHOTO
from anonlab.evaluation.tables import (
    NAMED,
    kept_table,
    leakage_table,
    methods_table,
    number,
    percent,
    privacy_table,
    recognisers_table,
    table,
    title,
    unseen,
)
from anonlab.files import atomic_path
from anonlab.weights.store import data_folder

JUDGED = "judged.json"
BEGIN, END = "<!-- made by python tools/readme_tables.py -->", "<!-- end -->"


def cells_table(found: dict) -> str:
    """List each cell of yaw, size and stated group; the worst of each measure in bold."""
    measures = ["gaze_error", "eye_error", "mouth_error", "mesh_error", "expression_kept",
                "ethnicity_kept", "age_error"]  # fmt: skip
    worst = found["cells"]["worst"]
    rows = []
    for name, one in found["cells"].items():
        if name != "worst":
            marks = ["**" if worst[key] == name else "" for key in measures]
            values = [number(key, one[key]) for key in measures]
            cells = [f"{mark}{value}{mark}" for mark, value in zip(marks, values, strict=True)]
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


def reference(judged: dict) -> str:
    """Write all tables, set by set."""
    parts = []
    for name, found in judged["sets"].items():
        chance = next(iter(unseen(found).values()))["originals"]["chance"]
        parts += [f"### {title(name, found)}"]
        parts += ["What stays:", kept_table(found), "By group:", cells_table(found)]
        parts += ["Realism:", realism_table(found)] if found["realism"] else []
        parts += ["Against what people state:", truth_table(found)] if found["truth"] else []
        parts += ["Recognisers that took no part:", recognisers_table(found)]
        parts += [f"Who is found (chance {chance:.1%} at rank 1):", privacy_table(found)]
        parts += ["What the face adds to its surroundings:", leakage_table(found)]
        parts += ["Ways to hide a face:", methods_table(found)]
    return "\n\n".join(parts)


def screen(judged: dict) -> str:
    """Write the README's screen: of the different-day set what stays and which people are found."""
    name, found = min(judged["sets"].items())
    others = "stranger of the group, another photo", "same tool, another key", "surroundings"
    rows = []
    for judge, one in unseen(found).items():
        attacks, worst = one["attacks"], one["attacks"][ANOTHER]
        low, high = worst["rank_1_interval"]
        cells = [judge, percent(one["originals"]["rank_1"])]
        cells += [f"**{percent(worst['rank_1'])}** ({low:.0%}–{high:.0%})"]
        cells += [percent(attacks[key]["rank_1"]) for key in others]
        rows.append([*cells, f"{one['leakage']['result']['value']:+.1%}"])
    head = ["found first, by", "before", "anonymized (95 %)", "a stranger of the group", "same tool",
            "surroundings alone", "the face adds"]  # fmt: skip
    return "\n\n".join([f"{title(name, found)}:", kept_table(found, NAMED), table(head, rows)])


def marked(text: str, made: str, path: Path) -> str:
    """Put `made` between the marks of `text`. Raises `InputDamaged` where there are none."""
    start, end = text.find(BEGIN), text.find(END)
    if not 0 <= start < end:
        raise InputDamaged(f"{path} lacks the marks {BEGIN} and {END}; put them where the table goes")
    return f"{text[:start]}{BEGIN}\n\n{made}\n\n{text[end:]}"


def controls_table() -> str:
    """The fields of `Controls`, each of which is an option of the command line."""
    rows = [[f"`--{one.name.replace('_', '-')}`", one.metadata["help"]] for one in fields(Controls)]
    return table(["control", "meaning"], rows)


def pages() -> dict[Path, str]:
    """Return the pages as they should be, by path."""
    folder = data_folder()
    judged = json.loads((folder / JUDGED).read_text())
    made = {folder / "README.md": reference(judged), folder.parent / "README.md": screen(judged)}
    made[folder.parent / "anonlab" / "README.md"] = controls_table()
    return {path: marked(path.read_text(), text, path) for path, text in made.items()}


if __name__ == "__main__":
    for page, text in pages().items():
        with atomic_path(page) as partial:
            partial.write_text(text)
