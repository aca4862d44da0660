"""Write the tables of README.md, data/README.md and anonlab/README.md between their marks (`make
tables`), and draw the README's picture (`make figure`) and that of training in notebook 03.

The tables come from `data/judged.json` and the fields of `Controls`; what is there already stays as it
is. Only the astronaut (public domain) is in the README's picture, which takes a minute on 2 CPU cores.
Generated faces are in the other one, drawn in half a minute with an encoder that shipped earlier:

    git show 5464f0d:data/encoder-mobile.safetensors > /tmp/earlier.safetensors
    python benchmarks/pages.py training /tmp/earlier.safetensors
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path

import torch

from anonlab.controls import Controls
from anonlab.encoding.encoder import load_encoder
from anonlab.encoding.linear import LinearInitialization
from anonlab.errors import InputDamaged
from anonlab.evaluation import tables
from anonlab.evaluation.privacy import ANOTHER, OTHER_PHOTO
from anonlab.evaluation.tables import number, percent, table
from anonlab.files import atomic_path
from anonlab.notebook.plots import gallery, stages_figure
from anonlab.notebook.samples import ASTRONAUT, sample_photo
from anonlab.perception.masks import mask_from_attribution
from anonlab.perception.networks import load_perception_network
from anonlab.pipeline import Anonymizer
from anonlab.recognizers import distance
from anonlab.regeneration.compose import compose
from anonlab.training.synthetic import load_samples
from anonlab.weights.store import data_folder

BEGIN, END = "<!-- made by make tables -->", "<!-- end -->"
IN_CELLS = ("gaze_error", "eye_error", "mouth_error", "mesh_error", "expression_kept", "ethnicity_kept",
            "age_error")  # fmt: skip
KEY = b"the key of the README's picture"
HELD_OUT, SEED = 16, 2  # generated faces that no encoder learned from; those of notebook 03
SHOWN = (0, 1, 2, 6)  # of them
LEARNED = "linear start", "earlier encoder, 8,800 faces", "shipped, 117,120 faces"


def cells_table(found: dict) -> str:
    """List each cell of yaw, size and stated group; the worst of each measure in bold."""
    cells, rows = dict(found["cells"]), []
    worst = cells.pop("worst")
    for name, one in cells.items():
        values = {key: number(key, one[key]) for key in IN_CELLS}
        bold = [f"**{value}**" if worst[key] == name else value for key, value in values.items()]
        rows.append([name, str(one["people"]), *bold])
    return table(["people who are", "n", *(one.replace("_", " ") for one in IN_CELLS)], rows)


def truth_table(found: dict) -> str:
    """Compare GEAR with what people say of themselves: accuracy on both photos, and on the result."""
    photo, *others = (found["truth"][name] for name in ("photo", OTHER_PHOTO, "result"))
    rows = []
    for name, one in photo.items():
        of = [one, *(other[name] for other in others)]
        if name == "age":
            cells = [f"{each['error']:.1f} years, bias {each['bias']:+.1f}" for each in of]
        else:
            cells = [percent(each["right"] / each["people"]) for each in of]
        read = ", ".join(f"{count} {word}" for word, count in one.get("read_as", {}).items())
        rows.append([name, str(one["people"]), *cells, read or "–"])
    head = ["stated", "people", "right on the photo", "on another photo", "anonymized"]
    return table([*head, "the photo is read as"], rows)


def reference(judged: dict) -> str:
    """Write all tables, set by set."""
    parts = []
    for name, found in judged["sets"].items():
        chance = next(iter(tables.unseen(found).values()))["originals"]["chance"]
        made = {
            "What stays": tables.kept_table(found),
            "By group": cells_table(found),
            "Against what people state": truth_table(found) if found["truth"] else "",
            "Recognisers that took no part": tables.recognisers_table(found),
            f"Who is found (chance {chance:.1%} at rank 1)": tables.privacy_table(found),
            "What the face adds to its surroundings": tables.leakage_table(found),
            "Ways to hide a face": tables.methods_table(found),
        }
        parts += [f"### {tables.title(name, found)}"]
        parts += [f"{head}:\n\n{text}" for head, text in made.items() if text]
    return "\n\n".join(parts)


def screen(judged: dict) -> str:
    """Write the README's screen: of the different-day set what stays and which people are found."""
    name, found = min(judged["sets"].items())
    others = "stranger of the group, another photo", "same tool, another key", "surroundings"
    rows = []
    for judge, one in tables.unseen(found).items():
        attacks, worst = one["attacks"], one["attacks"][ANOTHER]
        low, high = worst["rank_1_interval"]
        cells = [judge, percent(one["originals"]["rank_1"])]
        cells += [f"**{percent(worst['rank_1'])}** ({low:.0%}–{high:.0%})"]
        cells += [percent(attacks[key]["rank_1"]) for key in others]
        rows.append([*cells, f"{one['leakage']['result']['value']:+.1%}"])
    head = ["found first, by", "before", "anonymized (95 %)", "a stranger of the group", "same tool",
            "surroundings alone", "the face adds"]  # fmt: skip
    what_stays = tables.kept_table(found, tables.NAMED)
    return "\n\n".join([f"{tables.title(name, found)}:", what_stays, table(head, rows)])


def marked(text: str, made: str, path: Path) -> str:
    """Put `made` between the marks of `text`. Raises `InputDamaged` where there are none."""
    above, begin, rest = text.partition(BEGIN)
    _, end, below = rest.partition(END)
    if not (begin and end):
        raise InputDamaged(f"{path} lacks the marks {BEGIN} and {END}; put them where the table goes")
    return f"{above}{BEGIN}\n\n{made}\n\n{END}{below}"


def controls_table() -> str:
    """List the fields of `Controls`, each of which is an option of the command line."""
    rows = [[f"`--{one.name.replace('_', '-')}`", one.metadata["help"]] for one in fields(Controls)]
    return table(["control", "meaning"], rows)


def pages() -> dict[Path, str]:
    """Return the pages as they should be, by path."""
    folder = data_folder()
    judged = json.loads((folder / "judged.json").read_text())
    made = {folder / "README.md": reference(judged), folder.parent / "README.md": screen(judged)}
    made[folder.parent / "anonlab" / "README.md"] = controls_table()
    return {path: marked(path.read_text(), text, path) for path, text in made.items()}


def draw() -> None:
    """Anonymize the astronaut and save its stages as `data/pictures/stages.jpg`."""
    result = Anonymizer.load(key=KEY)(sample_photo(ASTRONAUT))
    with atomic_path(data_folder() / "pictures" / "stages.jpg") as partial:
        stages_figure(result.faces).savefig(partial, format="jpg", dpi=90)


@torch.no_grad()
def draw_training(earlier: Path) -> None:
    """Save `data/pictures/training.jpg`: held-out faces, each drawn by the linear start, by the encoder
    of the file `earlier` and by the one that ships, without correction.

    In the upper row of a face its own identity is asked for, and all that the generator draws is shown;
    in the lower row a virtual identity, and the composite through a mask of a quarter of the picture.
    """
    anonymizer = Anonymizer.load()
    generator, recognizer = anonymizer.generator, anonymizer.recognizer
    linear = LinearInitialization(generator, anonymizer.population)
    encoders = [load_encoder(generator, earlier), load_encoder(generator)]
    maps = load_perception_network()
    people = anonymizer.population
    samples = load_samples(generator, recognizer, people, HELD_OUT, SEED, network=maps)
    pictures, titles = [], []
    for face in (slice(one, one + 1) for one in SHOWN):
        image, own = samples.pictures(face), samples.embeddings[face]
        mask = mask_from_attribution(samples.attribution[face].float(), 0.25, 1.0, image.shape[-1])
        for wanted in (own, samples.targets[face, 0]):
            codes = [generator.broadcast(linear(image, wanted))]
            codes += [encoder(image, mask, wanted) for encoder in encoders]
            drawn = [generator.synthesis(ws, image.shape[-1]).clamp(-1, 1) for ws in codes]
            if wanted is not own:
                drawn = [compose(one, image, mask) for one in drawn]
            apart = [distance(recognizer, recognizer.embed(one), own).item() for one in drawn]
            pictures += [image if wanted is own else image * (1 - mask), *drawn]
            titles += ["rebuild this" if wanted is own else "somebody else around this"]
            titles += [f"{name}: {value:.2f}" for name, value in zip(LEARNED, apart, strict=True)]
    with atomic_path(data_folder() / "pictures" / "training.jpg") as partial:
        figure = gallery(pictures, titles, columns=4)
        figure.savefig(partial, format="jpg", dpi=90, pil_kwargs={"quality": 63, "optimize": True})


if __name__ == "__main__":
    if sys.argv[1:] == ["picture"]:
        draw()
    elif sys.argv[1:2] == ["training"]:
        draw_training(Path(sys.argv[2]))
    else:
        for page, text in pages().items():
            with atomic_path(page) as partial:
                partial.write_text(text)
