"""Evaluate people by judges that took no part: what stays of them, and who is still found.

Every data set is judged by itself. The pictures are made and kept by `pictures`; judging them again does
not make them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..errors import InputMissing
from ..metrics import bootstrap, frechet_distance, interval, load_features, precision_recall
from ..metrics.intervals import LEVEL
from ..pipeline import Anonymizer
from ..recognizers import crop
from .judges.kept import CORRELATED, correlation, differences, floor
from .judges.reading import ETHNICITIES, FaceRes, Judges, Reading
from .judging import SHARES, Judge, Similarity
from .learned import fine_tune
from .peers import k_same
from .people import load_people
from .pictures import (
    BASE,
    LEARNED,
    Gallery,
    Pictures,
    Recipe,
    fingerprints_of,
    of_other_photo,
    small,
)
from .privacy import ORIGINAL, OTHER_PHOTO, UNION, Embeddings, attacks, found, united

DRAWS = 1000  # of the bootstrap by person
SMALLEST = 5  # people of a cell that is worth a number
INNER, INNER_SIDE = (136.0, 160.0, 376.0, 400.0), 128  # brows to chin, of an aligned side of 512
YAWS, SIZES = (0, 15, 30, 45), (0, 64, 128, 256)  # lower edges: degrees, pixels of the face's square
GENDERS = ("male", "female")  # GEAR's
STATED = {  # what people say of themselves -> GEAR's word
    "ethnicity": {"white": "white", "black": "black", "east_asian": "asian", "west_asian": "indian"},
    "gender": {"male": "male", "female": "female"},
}
TUNED = "recogniser fine-tuned on the same tool"


@dataclass
class Evaluation:
    """Everything that came out: `sets` are plain numbers by data set, and beside them stands what they
    are made of."""

    sets: dict[str, dict] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # of judging, a person
    people: dict[str, list[Pictures]] = field(default_factory=dict)
    judges: list[Judge] = field(default_factory=list)
    embeddings: dict[str, dict[str, Embeddings]] = field(default_factory=dict)  # by set and judge

    def record(self) -> dict:
        """For `judged.json`."""
        return {"sets": self.sets, "problems": self.problems, "seconds_a_person": self.seconds}


def evaluate(
    sources: Mapping[str, int | None],
    anonymizer: Anonymizer,
    judges: Sequence[Judge],
    folder: Path,
    *,
    estimators: Judges | None = None,
    methods: Mapping[str, Recipe] | None = None,
    k: Sequence[int] = (),
    pairs: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Evaluate the people of every source (`embedded`, `lfw` or a folder; how many, or None for all).

    `judges` are recognisers, the guide first; `estimators` say what stays of people. `methods` are
    further ways to hide a face and `k` the group sizes of k-same: sources of pictures for the same
    judges. `pairs` generated people are what attackers learn from. Pictures are kept in `folder`. Raises
    `InputMissing` when no person has two usable photos, `FolderBusy`, `OutputNotWritable`, and what
    `load_people` raises.
    """
    gallery, result = Gallery(anonymizer, folder, seed), Evaluation(judges=list(judges))
    people = [one for source, count in sources.items() for one in load_people(source, count)]
    methods = dict(methods or {})
    for one in gallery.people(people, BASE | methods, result.problems, progress):
        result.people.setdefault(one.person.dataset or "people", []).append(one)
    if not result.people:
        raise InputMissing(
            "nobody has two photos that show a face, so nothing can be compared; add some"
        )
    learned = gallery.pairs(pairs, progress) if pairs else []
    shown = {ORIGINAL: "photo", "result": "result"}
    shown |= {name: name for name in methods if not name.startswith("other photo")}
    shown |= {f"k-same {count}": f"k-same {count}" for count in k}
    similarity = Similarity(anonymizer.detector, anonymizer.device)
    start = time.monotonic(), time.process_time()
    taught = {one.name: embed(one, learned) for one in judges if learned}
    for name, one in result.people.items():
        mix(one, k)
        result.embeddings[name] = {judge.name: embed(judge, one) for judge in tqdm(
            judges, f"{name}: recognisers", unit="recogniser", disable=not progress)}  # fmt: skip
        result.sets[name] = {
            "people": len(one),
            "similarity": similar(one, similarity, shown, progress),
            **(judged(one, estimators, shown, progress) if estimators else {}),
            "realism": realism(one),
            "found": who_is_found(
                one, judges, result.embeddings[name], shown, taught, learned, anonymizer
            ),
            "fingerprint": fingerprints_of(anonymizer),
        }
    count = sum(map(len, result.people.values()))
    stop = time.monotonic(), time.process_time()
    result.seconds = {
        kind: (b - a) / count for kind, a, b in zip(("wall", "processor"), start, stop, strict=True)
    }
    return result


def stacked(people: Sequence[Pictures], name: str) -> torch.Tensor:
    """One picture of everybody, `(N, 3, S, S)`."""
    return torch.cat([one.image(name) for one in people])


def mix(people: Sequence[Pictures], k: Sequence[int]) -> None:
    """Add the pictures of k-same, which needs everybody."""
    for count in k:
        name = f"k-same {count}"
        for made, source in ((name, "photo"), (of_other_photo(name), "other photo")):
            images = k_same([one.image(source) for one in people], count)
            for one, image in zip(people, images, strict=True):
                one.pixels[made] = small(image)


@torch.no_grad()
def embed(judge: Judge, people: Sequence[Pictures]) -> Embeddings:
    """Every picture by one recogniser, `(N, dim)` each; NaN where a person has no such picture."""
    made = {}
    for name in dict.fromkeys(name for one in people for name in one.pixels if name != "mask"):
        rows = [
            judge.recognizer.embed(one.image(name)).cpu() if name in one.pixels
            else torch.full((1, judge.recognizer.dim), torch.nan)
            for one in people
        ]  # fmt: skip
        made[name] = torch.cat(rows)
    return made


def who_is_found(
    people: Sequence[Pictures],
    judges: Sequence[Judge],
    embeddings: Mapping[str, Embeddings],
    shown: dict[str, str],
    taught: Mapping[str, Embeddings],
    learned: Sequence[Pictures],
    anonymizer: Anonymizer,
) -> dict:
    """`privacy.found` by recogniser, and all that took no part together."""
    asked = {
        one.name: attacks(one, embeddings[one.name], taught.get(one.name), anonymizer.population)
        for one in judges
    }
    tuned = {}
    for one in judges:
        if isinstance(one.recognizer, FaceRes) and len(people) > 1:
            asked[one.name][TUNED], tuned[one.name] = tuned_distances(one.recognizer, people, learned)
    made = {one.name: found(one, embeddings[one.name], asked[one.name], shown) for one in judges}
    for name, shares in tuned.items():
        made[name]["fine_tuning"] = {"held_out_rank_1": shares, "generated_people": len(learned)}
    unseen = [asked[one.name] for one in judges if not one.seen]
    return made | ({UNION: united(unseen)} if len(unseen) > 1 else {})


@torch.no_grad()
def tuned_distances(
    recognizer: FaceRes, people: Sequence[Pictures], learned: Sequence[Pictures]
) -> tuple[torch.Tensor, list[float]]:
    """The attacker who fine-tunes: distances `(N, N)` from results to the people of a gallery.

    Known of each person are the other photo and what the attacker's own copy of the tool makes of it,
    and of `learned` people photo and result; what the tool makes at other settings is held out to know
    when to stop.
    """

    def given(pictures: Sequence[Pictures], name: str) -> torch.Tensor:
        return torch.cat([recognizer.features(one.image(name)).half() for one in pictures])

    own, others = torch.arange(len(people)), len(people) + torch.arange(len(learned))
    known, who = [given(people, name) for name in ("other photo", "other photo, other key")], [own, own]
    if learned:
        known += [given(learned, name) for name in LEARNED[:2]]
        who += [others, others]
    tail, directions, shares = fine_tune(
        recognizer.last_layer(), torch.cat(known), torch.cat(who),
        given(people, "other photo, other settings"), own, torch.Generator().manual_seed(0),
    )  # fmt: skip
    results = torch.nn.functional.normalize(
        torch.cat([tail(given([one], "result").float())[tail.outputs[0]] for one in people]), dim=1
    )
    return 1 - results @ directions[: len(people)].T, shares


def similar(
    people: Sequence[Pictures], similarity: Similarity, shown: dict[str, str], progress: bool = False
) -> dict:
    """`Similarity` of every method and of another photo: the means over people with their intervals."""
    rows: dict[str, list[dict]] = {}
    for one in tqdm(people, "similarity", unit="person", disable=not progress):
        was = similarity.look(one.image("photo"))
        for name, picture in (shown | {OTHER_PHOTO: "other photo"}).items():
            if picture == "photo":  # which is the same
                continue
            mask = None if name == OTHER_PHOTO else one.mask
            rows.setdefault(name, []).append(similarity.compare(was, one.image(picture), mask))
    return {
        name: {
            key: {"mean": float(np.mean(values)), "interval": list(spread(np.array(values)))}
            for key in found[0]
            for values in [[row[key] for row in found]]
            for spread in [interval if key in SHARES else bootstrap]
        }
        for name, found in rows.items()
    }


def judged(
    people: Sequence[Pictures], estimators: Judges, shown: dict[str, str], progress: bool = False
) -> dict:
    """What the estimators say: `kept` by method, floor and another photo, `cells`, `truth`."""
    photos = stacked(people, "photo")
    sets = {"unchanged": "photo", **shown, OTHER_PHOTO: "other photo"}
    del sets[ORIGINAL]
    before, read = estimators(photos), {}
    for name, picture in tqdm(sets.items(), "estimators", unit="method", disable=not progress):
        images = stacked(people, picture)
        read[name] = estimators(floor(images) if name == "unchanged" else images)
    stated = {"photo": before, OTHER_PHOTO: read[OTHER_PHOTO], "result": read["result"]}
    return {
        "kept": {name: kept(before, after) for name, after in read.items()},
        "cells": cells(people, before, read["result"]),
        "truth": truth(people, stated),
    }


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
def realism(people: Sequence[Pictures]) -> dict:
    """Fréchet distance, precision and recall of inner faces to the photos', for the floor, the result
    and the other photos, with the number of pictures, their side and the backbone; {} for fewer than
    `SMALLEST` people. Three quarters of an aligned picture stay as they are and would flatter.
    """
    if len(people) < SMALLEST:
        return {}
    space = load_features()

    def features(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([space.embed(crop(one[None], INNER, INNER_SIDE)) for one in images])

    photos = stacked(people, "photo")
    made = {"unchanged": floor(photos)}
    made |= {
        name: stacked(people, which) for name, which in (("result",) * 2, (OTHER_PHOTO, "other photo"))
    }
    real = features(photos)
    told: dict = {"pictures": len(photos), "side": INNER_SIDE, "backbone": space.name}
    for name, images in made.items():
        other = features(images)
        precision, recall = precision_recall(real, other)
        told[name] = {
            "frechet": frechet_distance(real, other), "precision": precision, "recall": recall
        }  # fmt: skip
    return told


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
    """GEAR against what people say of themselves, by picture: error and bias in years, and how often
    each stated gender and group is read as what. Empty where nothing is stated."""
    tags = [one.person.tags for one in people]
    told = [tag.get("age", "") for tag in tags]  # "NA" where it is not stated
    ages = torch.tensor([float(one) if one.isdigit() else torch.nan for one in told])
    words = {"gender": GENDERS, "ethnicity": ETHNICITIES}
    made: dict = {}
    for name, reading in read.items():
        line: dict = {}
        off = (reading.numbers["age"] - ages)[~ages.isnan()]
        if len(off):
            line["age"] = {
                "people": len(off), "error": off.abs().mean().item(), "bias": off.mean().item()
            }  # fmt: skip
        for kind, known in STATED.items():
            said = [words[kind][index] for index in reading.labels[kind].argmax(1).tolist()]
            for value in known:
                mine = [one for one, tag in zip(said, tags, strict=True) if tag.get(kind) == value]
                if mine:
                    line[f"{kind} {value}"] = {
                        "people": len(mine), "right": mine.count(known[value]),
                        "read_as": {word: mine.count(word) for word in dict.fromkeys(sorted(mine))},
                    }  # fmt: skip
        made[name] = line
    return made if any(made.values()) else {}
