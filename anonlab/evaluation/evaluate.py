"""Evaluate people by judges that took no part: what stays of them, and which are still found.

Every data set is judged by itself. The pictures are made and kept by `pictures`; judging them again does
not make them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..errors import InputMissing
from ..metrics.intervals import bootstrap, interval
from ..pipeline import Anonymizer
from .judges.kept import cells, floor, kept, truth
from .judges.reading import FaceRes, Judges
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
    stacked,
)
from .privacy import ORIGINAL, OTHER_PHOTO, UNION, Embeddings, attacks, found, united

TUNED = "recogniser fine-tuned on the same tool"


@dataclass
class Evaluation:
    """Hold everything that came out: plain numbers by data set (`sets`), and what they are made of."""

    sets: dict[str, dict] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    people: dict[str, list[Pictures]] = field(default_factory=dict)
    judges: list[Judge] = field(default_factory=list)
    embeddings: dict[str, dict[str, Embeddings]] = field(default_factory=dict)  # by set and judge


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
    judges. Attackers learn from `pairs` generated people. Pictures are kept in `folder`. Raises
    `InputMissing` when no person has two usable photos, `FolderBusy`, `OutputNotWritable`, and what
    `load_people` raises.
    """
    gallery, result = Gallery(anonymizer, folder, seed), Evaluation(judges=list(judges))
    people = [one for source, count in sources.items() for one in load_people(source, count)]
    methods = methods or {}
    for one in gallery.people(people, BASE | methods, result.problems, progress):
        result.people.setdefault(one.person.dataset or "people", []).append(one)
    if not result.people:
        raise InputMissing("no person has two photos that show a face, so there is no pair; add some")
    learned = gallery.pairs(pairs, progress) if pairs else []
    shown = {ORIGINAL: "photo", "result": "result"}
    shown |= {name: name for name in methods if not name.startswith("other photo")}
    shown |= {f"k-same {count}": f"k-same {count}" for count in k}
    similarity = Similarity(anonymizer.detector, anonymizer.device)
    taught = {one.name: embed(one, learned) for one in judges if learned}
    for name, one in result.people.items():
        mix(one, k)
        by_judge: dict[str, dict] = {}
        unseen = []
        for judge in tqdm(judges, f"{name}: recognisers", unit="recogniser", disable=not progress):
            seen = result.embeddings.setdefault(name, {})[judge.name] = embed(judge, one)
            asked = attacks(judge, seen, taught.get(judge.name), anonymizer.population)
            if isinstance(judge.recognizer, FaceRes) and len(one) > 1:
                asked[TUNED] = tuned_distances(judge.recognizer, one, learned)
            by_judge[judge.name] = found(judge, seen, asked, shown)
            unseen += [] if judge.seen else [asked]
        if len(unseen) > 1:
            by_judge[UNION] = united(unseen)
        result.sets[name] = {
            "people": len(one),
            "similarity": similar(one, similarity, shown, progress),
            **(judged(one, estimators, shown, progress) if estimators else {}),
            "found": by_judge,
            "fingerprint": fingerprints_of(anonymizer),
        }
    return result


def mix(people: Sequence[Pictures], k: Sequence[int]) -> None:
    """Add the pictures of k-same, which needs all people at once."""
    for count in k:
        name = f"k-same {count}"
        for made, source in ((name, "photo"), (of_other_photo(name), "other photo")):
            images = k_same([one.image(source) for one in people], count)
            for one, image in zip(people, images, strict=True):
                one.pixels[made] = small(image)


@torch.no_grad()
def embed(judge: Judge, people: Sequence[Pictures]) -> Embeddings:
    """Embed every picture by one recogniser, `(N, dim)` each; NaN where a person has no such picture."""
    missing = torch.full((1, judge.recognizer.dim), torch.nan)
    names = dict.fromkeys(name for one in people for name in one.pixels if name != "mask")
    rows = {
        name: [
            judge.recognizer.embed(x.image(name)).cpu() if name in x.pixels else missing for x in people
        ]
        for name in names
    }
    return {name: torch.cat(row) for name, row in rows.items()}


@torch.no_grad()
def tuned_distances(
    recognizer: FaceRes, people: Sequence[Pictures], learned: Sequence[Pictures]
) -> torch.Tensor:
    """Fine-tune a recogniser as an attacker can: distances `(N, N)` from results to a gallery's people.

    Known of each person are the other photo and what the attacker's own copy of the tool makes of it,
    and of `learned` people photo and result; what the tool makes at other settings is held out to know
    when to stop.
    """

    def given(pictures: Sequence[Pictures], name: str) -> torch.Tensor:
        return torch.cat([recognizer.features(one.image(name)).half() for one in pictures])

    own, others = torch.arange(len(people)), len(people) + torch.arange(len(learned))
    known = [given(people, name) for name in ("other photo", "other photo, other key")]
    known += [given(learned, name) for name in LEARNED[:2] if learned]
    numbers = torch.cat([own, own, others, others])
    layer, held = recognizer.last_layer(), given(people, "other photo, other settings")
    rng = torch.Generator().manual_seed(0)
    directions = fine_tune(layer, torch.cat(known), numbers, held, own, rng)
    results = torch.cat([layer(given([one], "result").float()) for one in people])
    return 1 - torch.nn.functional.normalize(results, dim=1) @ directions[: len(people)].T


def similar(
    people: Sequence[Pictures], similarity: Similarity, shown: dict[str, str], progress: bool = False
) -> dict:
    """Average `Similarity` of every method and of another photo over people, with intervals."""
    rows: dict[str, list[dict]] = {}
    for one in tqdm(people, "similarity", unit="person", disable=not progress):
        was = similarity.look(one.image("photo"))
        for name, picture in shown.items():
            if picture != "photo":
                found = similarity.compare(was, one.image(picture), one.mask)
                rows.setdefault(name, []).append(found)
        found = similarity.compare(was, one.image("other photo"), None)
        rows.setdefault(OTHER_PHOTO, []).append(found)
    return {name: {key: averaged(key, found) for key in found[0]} for name, found in rows.items()}


def averaged(key: str, rows: Sequence[dict]) -> dict:
    """Return the mean of one measure over people, with its interval."""
    values = np.array([row[key] for row in rows])
    spread = interval if key in SHARES else bootstrap
    return {"mean": float(values.mean()), "interval": list(spread(values))}


def judged(
    people: Sequence[Pictures], estimators: Judges, shown: dict[str, str], progress: bool = False
) -> dict:
    """Ask the estimators: `kept` by method, floor and another photo, `cells`, `truth`."""
    sets = {**shown, OTHER_PHOTO: "other photo"}
    del sets[ORIGINAL]
    photos = stacked(people, "photo")
    before, read = estimators(photos), {"unchanged": estimators(floor(photos))}
    for name, picture in tqdm(sets.items(), "estimators", unit="method", disable=not progress):
        read[name] = estimators(stacked(people, picture))
    stated = {"photo": before, OTHER_PHOTO: read[OTHER_PHOTO], "result": read["result"]}
    return {
        "kept": {name: kept(before, after) for name, after in read.items()},
        "cells": cells(people, before, read["result"]),
        "truth": truth(people, stated),
    }
