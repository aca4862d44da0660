"""Measure stage 1 on real people: the fast map against the slow one, and what each of them hides.

    python benchmarks/perception.py FACES_FOLDER --people 73 --out outputs/perception

FACES_FOLDER is as `anonlab evaluate` takes it. Nothing but numbers is written: `attribution.json`, of
which the README quotes the copy in `data/`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from anonlab.evaluation.people import load_people
from anonlab.files import write_json
from anonlab.identity.population import Population
from anonlab.images import resize
from anonlab.metrics.faithfulness import (
    AREAS,
    area_under,
    deletion_curve,
    disc_ranking,
    inside_face,
    rank_correlation,
)
from anonlab.perception.perception import Perception
from anonlab.photo.detection import Detector
from anonlab.photo.faces import align
from anonlab.photo.photos import read_photo
from anonlab.recognizers import load_recognizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--people", type=int, default=73)
    parser.add_argument("--methods", default="integrated_gradients,gradient_shap,network")
    parser.add_argument("--out", type=Path, default=Path("outputs/perception"))
    options = parser.parse_args()
    perception, detector = Perception(load_recognizer(), Population.load()), Detector()
    methods = options.methods.split(",")
    curves: dict[str, list] = {name: [] for name in (*methods, "disc")}
    seconds: dict[str, list] = {name: [] for name in methods}
    correlations: dict[str, list] = {name: [] for name in methods}
    people = load_people(options.faces, options.people)
    for person in tqdm(people):
        photo = read_photo(person.photos[0])
        face = resize(align(photo, detector(photo)[0], 512), 256)
        maps = {}
        for name in methods:
            start = time.monotonic()
            maps[name] = perception(face, name)
            seconds[name].append(time.monotonic() - start)
        slow = perception(face, "integrated_gradients", steps=40)
        for name, heat in maps.items():
            whole, inside = (resize(heat, 64), resize(slow, 64)), (inside_face(heat), inside_face(slow))
            correlations[name].append([rank_correlation(*pair).item() for pair in (whole, inside)])
        for name, heat in (maps | {"disc": disc_ranking(256)}).items():
            curves[name].append(deletion_curve(perception.recognizer, face, heat, AREAS))
    means = {name: np.mean(rows, 0) for name, rows in curves.items()}
    correlation = {name: np.mean(rows, 0).round(3).tolist() for name, rows in correlations.items()}
    found = {
        "people": len(people),
        "deletion_at_10": {name: round(mean[AREAS.index(0.1)], 3) for name, mean in means.items()},
        "area_under_deletion": {name: round(area_under(AREAS, mean), 3) for name, mean in means.items()},
        "seconds": {name: round(statistics.median(seconds[name]), 3) for name in methods},
        "rank_correlation_with_40_steps": {name: whole for name, (whole, _) in correlation.items()},
        "the_same_inside_the_face": {name: inside for name, (_, inside) in correlation.items()},
    }
    write_json(options.out / "attribution.json", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
