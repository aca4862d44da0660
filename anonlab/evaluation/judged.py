"""One data set by all judges: what stays of the people, and who is still found."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..metrics import frechet_distance, load_features, precision_recall
from ..metrics.intervals import LEVEL
from ..pipeline import Anonymizer
from ..recognizers import Recognizer, crop
from .evaluate import aligned_faces
from .found import found
from .judges import Judges, Reading
from .judges.kept import CORRELATED, correlation, differences, floor
from .judges.reading import ETHNICITIES
from .people import load_people
from .pictures import NAMES, Pictures, pictures_of

DRAWS = 1000  # of the bootstrap by person
SMALLEST = 5  # people of a cell that is worth a number
INNER, INNER_SIDE = (136.0, 160.0, 376.0, 400.0), 128  # brows to chin, of an aligned side of 512
YAWS, SIZES = (0, 15, 30, 45), (0, 64, 128, 256)  # lower edges: degrees, pixels of the face's square
STATED = {"white": "white", "black": "black", "east_asian": "asian", "west_asian": "indian"}
RIGHT = {"male": 0, "female": 1}  # GEAR's gender classes


def judge_set(people: Sequence[Pictures], judges: Judges, recognizers: Sequence[Recognizer]) -> dict:
    """All tables of one data set, as plain numbers: `kept`, `cells`, `truth`, and `found` by
    recogniser. Pictures are read once."""
    photos = torch.cat([one.images["photo"] for one in people])
    sets = {
        "photo": photos,
        "unchanged": floor(photos),
        "result": torch.cat([one.images["result"] for one in people]),
        "another photo": torch.cat([one.images["other photo"] for one in people]),
    }
    read = {name: judges(images) for name, images in sets.items()}
    before = read.pop("photo")
    embeddings = {
        one.name: {
            name: torch.cat([one.embed(person.images[name]) for person in people]) for name in NAMES
        }
        for one in recognizers
    }
    return {
        "people": len(people),
        "kept": {name: kept(before, after) for name, after in read.items()},
        "cells": cells(people, before, read["result"]),
        "truth": truth(people, {"photo": before, "result": read["result"]}),
        "realism": realism(
            sets["photo"], {n: sets[n] for n in ("unchanged", "result", "another photo")}
        ),
        "found": {one.name: found(one, embeddings[one.name]) for one in recognizers},
    }


def judge_sources(
    sources: Mapping[str, int | None],
    anonymizer: Anonymizer,
    recognizers: Sequence[Recognizer],
    state: Path,
    progress: bool = False,
) -> dict:
    """Every data set of the sources by itself: `{data set: judge_set(…)}`, and who was left out.

    Pictures are kept in `state`, so that only a changed method makes them again. Raises
    `WeightsMissing` or `WeightsCorrupt` without the judges' files, and what `load_people` raises.
    """
    judges = Judges()
    sets: dict[str, list[Pictures]] = {}
    problems: list[dict[str, str]] = []
    people = [one for source, count in sources.items() for one in load_people(source, count)]
    for person in tqdm(people, desc="making pictures", unit="person", disable=not progress):
        faces = aligned_faces(anonymizer, person, problems)
        if len(faces.pixels) > 1:
            made = pictures_of(anonymizer, faces, state)
            sets.setdefault(person.dataset or "people", []).append(made)
    start = time.monotonic()
    made_sets = {name: judge_set(one, judges, recognizers) for name, one in sets.items()}
    seconds = (time.monotonic() - start) / max(1, sum(map(len, sets.values())))
    return {"sets": made_sets, "problems": problems, "seconds_a_person": seconds}


def by_person(statistic: Callable[..., torch.Tensor], *columns: torch.Tensor, seed: int = 0) -> dict:
    """Return a statistic over the last axis of columns `(N,)` with its 95 % interval by a bootstrap that
    draws people. NaN is a person to whom the question does not apply; None where none is left."""
    asked = ~torch.stack(columns).isnan().any(0)
    columns = tuple(one[asked] for one in columns)
    if not asked.any():
        return {"people": 0, "value": None, "interval": [None, None]}
    rng = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(columns[0]), (DRAWS, len(columns[0])), generator=rng)
    found = statistic(*(one[draws] for one in columns))  # (DRAWS,)
    low, high = np.quantile(found.numpy(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = statistic(*columns).item()
    return {"people": len(columns[0]), "value": value, "interval": [float(low), float(high)]}


def kept(before: Reading, after: Reading) -> dict:
    """`differences` (means) and `correlations` over people, each with its interval by person."""
    measured = {
        name: by_person(lambda one: one.mean(-1), values)
        for name, values in differences(before, after).items()
    }
    for name in CORRELATED:
        pair = before.numbers[name], after.numbers[name]
        measured[f"{name}, correlation"] = by_person(correlation, *pair)
    return measured


@torch.no_grad()
def realism(photos: torch.Tensor, made: dict[str, torch.Tensor]) -> dict:
    """Fréchet distance, precision and recall of sets of inner faces `(N, 3, S, S)` to the photos', with
    the number of pictures, their side and the backbone; {} for fewer than `SMALLEST` people.

    Only the inner face is looked at: three quarters of an aligned picture stay as they are.
    """
    if len(photos) < SMALLEST:
        return {}
    space = load_features()

    def features(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([space.embed(crop(one[None], INNER, INNER_SIDE)) for one in images])

    real = features(photos)
    found: dict = {"pictures": len(photos), "side": INNER_SIDE, "backbone": space.name}
    for name, images in made.items():
        other = features(images)
        precision, recall = precision_recall(real, other)
        found[name] = {
            "frechet": frechet_distance(real, other), "precision": precision, "recall": recall
        }  # fmt: skip
    return found


def cells(people: Sequence[Pictures], before: Reading, after: Reading) -> dict[str, dict]:
    """Errors and labels kept by head turn, by the face's size in the photo and by stated group; cells of
    fewer than `SMALLEST` people are left out. `worst` names the cell of each measure."""
    measured = {
        name: values for name, values in differences(before, after).items() if not values.isnan().any()
    }
    yaw = before.numbers["yaw"].abs()
    size = torch.tensor([float(one.size) for one in people])
    groups: dict[str, torch.Tensor] = {}
    for name, values, edges in (("yaw", yaw, YAWS), ("size", size, SIZES)):
        for low, high in zip(edges, [*edges[1:], float("inf")], strict=True):
            groups[f"{name} {low}–{high:g}"] = (values >= low) & (values < high)
    for kind in ("gender", "ethnicity"):
        stated = [one.person.tags.get(kind, "") for one in people]
        for value in sorted(set(stated) - {""}):
            groups[f"{kind} {value}"] = torch.tensor([one == value for one in stated])
    made: dict[str, dict] = {
        name: {"people": int(chosen.sum())}
        | {key: values[chosen].mean().item() for key, values in measured.items()}
        for name, chosen in groups.items()
        if chosen.sum() >= SMALLEST
    }
    worst = {}
    for key in measured:
        pick = min if key.endswith("_kept") or key == "found" else max
        if made:
            worst[key] = pick(made, key=lambda name: made[name][key])
    return made | {"worst": worst}


def truth(people: Sequence[Pictures], read: dict[str, Reading]) -> dict:
    """GEAR against what people say of themselves: shares right and ages, before and after. Empty where
    nothing is stated."""
    tags = [one.person.tags for one in people]
    told = {name: [tag.get(name) for tag in tags] for name in ("age", "gender", "ethnicity")}
    made: dict = {}
    for name, reading in read.items():
        line: dict = {}
        ages = torch.tensor([float(one) if one else float("nan") for one in told["age"]])
        off = (reading.numbers["age"] - ages)[~ages.isnan()]
        if len(off):
            line["age"] = {
                "people": len(off),
                "error": off.abs().mean().item(),
                "bias": off.mean().item(),
            }
        for kind, known in (("gender", RIGHT), ("ethnicity", STATED)):
            labels = reading.labels[kind].argmax(1).tolist()
            for value in sorted({one for one in told[kind] if one in known}):
                wanted = known[value] if kind == "gender" else ETHNICITIES.index(STATED[value])
                right = [a == wanted for a, b in zip(labels, told[kind], strict=True) if b == value]
                line[f"{kind} {value}"] = {"people": len(right), "right": sum(right)}
        made[name] = line
    return made if any(made.values()) else {}
