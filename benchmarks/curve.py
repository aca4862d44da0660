"""Privacy, similarity and consistency over the mask's area: what a larger one would buy.

    python benchmarks/curve.py FOLDER[:COUNT] … --out FILE.json [--areas 0.15 0.25 0.4 0.55]
                                     [--unseen FILE.onnx --unseen-options JSON]

Of everybody with two photos, aligned as `anonlab evaluate` does it: the first by the user's key, the
second by the user's and by an attacker's, at every area in one pass. For each recogniser: how often the
attacker who runs the same tool with his own key finds a person first (rank 1), how often the two keys'
faces match, and how often one key's do, all at the threshold at which 1 in 1,000 pairs of different
originals match. ST-LPIPS is that of the aligned faces at 256 px.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from anonlab import metrics
from anonlab.evaluation.evaluate import aligned_faces
from anonlab.evaluation.judging import SEEN_SIZE, load_judges
from anonlab.evaluation.measure import rounded
from anonlab.evaluation.methods import ORIGINAL, Protocol, Subject
from anonlab.evaluation.people import load_people
from anonlab.evaluation.summary import FAR, strangers
from anonlab.files import write_json
from anonlab.images import resize
from anonlab.pipeline import Anonymizer
from anonlab.provenance import provenance
from anonlab.recognizers.perceptual import load_stlpips

KINDS = ("user", "user, other photo", "attacker, other photo")


def main() -> None:
    """Draw, measure, print and write a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("people", nargs="+", metavar="FOLDER[:COUNT]")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--areas", nargs="+", type=float, default=[0.15, 0.25, 0.4, 0.55])
    options.add_argument("--unseen", type=Path)
    options.add_argument("--unseen-options", type=json.loads, default={})
    chosen = options.parse_args()
    anonymizer, protocol = Anonymizer.load(), Protocol()
    judges = load_judges(anonymizer.recognizer, chosen.unseen, chosen.unseen_options)
    perceptual, away = load_stlpips(), {area: [] for area in chosen.areas}
    seen: dict[tuple, list[torch.Tensor]] = {}

    def keep(image: torch.Tensor, *kind: object) -> torch.Tensor:
        image = rounded(image.cpu())
        for judge in judges:
            seen.setdefault((judge.name, *kind), []).append(judge.recognizer.embed(image)[0])
        return image

    for source in chosen.people:
        folder, _, count = source.partition(":")
        for person in load_people(folder, int(count) if count else None):
            faces = aligned_faces(anonymizer, person, [])
            if len(faces.pixels) < 2:
                continue
            with torch.no_grad():
                subjects = [Subject(anonymizer, faces.image(n), protocol.seed) for n in (0, 1)]
                for number, subject in enumerate(subjects):
                    keep(subject.image, ORIGINAL, number)
                ours, theirs = protocol.key(), protocol.key(attacker=True)
                for area in chosen.areas:
                    new = keep(subjects[0].make(ours, area), KINDS[0], area)
                    keep(subjects[1].make(ours, area), KINDS[1], area)
                    keep(subjects[1].make(theirs, area), KINDS[2], area)
                    pair = [resize(one, SEEN_SIZE) for one in (subjects[0].image.cpu(), new)]
                    away[area].append(perceptual(*pair).item())
    rows = []
    for area in chosen.areas:
        row = {
            "mask_area": area,
            "people": len(away[area]),
            "st_lpips": sum(away[area]) / len(away[area]),
        }
        for judge in judges:
            row |= {f"{judge.name} {name}": value for name, value in found(judge, area, seen).items()}
        rows.append(row)
        print(json.dumps(row))
    write_json(chosen.out, {"rows": rows, "provenance": provenance(seeds=[protocol.seed])})


def found(judge, area: float, seen: dict[tuple, list[torch.Tensor]]) -> dict[str, float]:
    """The numbers of one recogniser at one area."""

    def distances(one: tuple, other: tuple) -> torch.Tensor:
        a, b = (torch.stack(seen[(judge.name, *kind)]) for kind in (one, other))
        return metrics.pairwise(judge.recognizer, a, b)

    threshold = metrics.calibrated_threshold(strangers(distances((ORIGINAL, 0), (ORIGINAL, 1))), FAR)
    mine, again, theirs = ((kind, area) for kind in KINDS)
    original, same_tool = distances(mine, (ORIGINAL, 1)), distances(mine, theirs)
    return {
        "originals rank 1": metrics.linkage(original),
        "same tool rank 1": metrics.linkage(same_tool),
        "two keys": (same_tool.diagonal() < threshold).float().mean().item(),
        "one key": (distances(mine, again).diagonal() < threshold).float().mean().item(),
    }


if __name__ == "__main__":
    main()
