"""Measure stage 1 on real people: the fast map against the slow one, and what each of them hides.

    python tests/benchmarks/perception.py FACES_FOLDER --people 73 --out outputs/perception

FACES_FOLDER holds `index.csv` (columns file, dataset, identity). Nothing but numbers is written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from london import people
from tqdm.auto import tqdm

from anonlab.identity.population import Population
from anonlab.images import resize
from anonlab.perception.faithfulness import (
    AREAS,
    area_under,
    deletion_curve,
    disc_ranking,
    inside_face,
    rank_correlation,
)
from anonlab.perception.perception import Perception
from anonlab.photo.faces import Detector, align
from anonlab.photo.photos import read_photo
from anonlab.recognizers import load_recognizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--people", type=int, default=73)
    parser.add_argument("--dataset", default="london")
    parser.add_argument("--methods", default="integrated_gradients,gradient_shap,network")
    parser.add_argument("--out", type=Path, default=Path("outputs/perception"))
    options = parser.parse_args()
    perception, detector = Perception(load_recognizer(), Population.load()), Detector()
    methods = options.methods.split(",")
    curves: dict[str, list] = {name: [] for name in (*methods, "disc")}
    seconds: dict[str, list] = {name: [] for name in methods}
    correlations: dict[str, list] = {name: [] for name in methods}
    for photos in tqdm(people(options.faces, options.dataset, options.people).values()):
        photo = read_photo(photos[0])
        face = resize(align(photo, detector(photo)[0], 512), 256)
        maps = {}
        for name in methods:
            start = time.monotonic()
            maps[name] = perception(face, name)
            seconds[name].append(time.monotonic() - start)
        slow = perception(face, steps=40)
        for name, heat in maps.items():
            whole, inside = (resize(heat, 64), resize(slow, 64)), (inside_face(heat), inside_face(slow))
            correlations[name].append([rank_correlation(*pair).item() for pair in (whole, inside)])
        for name, heat in (maps | {"disc": disc_ranking(256)}).items():
            curves[name].append(deletion_curve(perception.recognizer, face, heat, AREAS))
    summary = {
        name: {
            "deletion": dict(zip(map(str, AREAS), np.mean(rows, 0).round(4).tolist(), strict=True)),
            "area_under": area_under(AREAS, np.mean(rows, 0)),
        }
        for name, rows in curves.items()
    }
    for name in methods:
        summary[name]["seconds_median"] = statistics.median(seconds[name])
        whole, inside = np.mean(correlations[name], 0).round(4).tolist()
        summary[name] |= {"rank_correlation_with_40_steps": whole, "the_same_inside_the_face": inside}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
