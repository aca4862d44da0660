"""Measure stage 1 on real people: the fast map against the slow one, and what each of them hides.

    python benchmarks/perception.py FACES_FOLDER --people 73 --out outputs/perception

FACES_FOLDER is as `anonlab evaluate` takes it. Nothing but numbers is written: `attribution.json`, of
which `data/tried.md` quotes the copy in `data/`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from anonlab.evaluation.people import load_people
from anonlab.files import write_json
from anonlab.identity.population import Population
from anonlab.images import resize
from anonlab.metrics.faithfulness import DISC, compare_methods, inside_face, rank_correlation
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
    methods, faces = options.methods.split(","), []
    for person in load_people(options.faces, options.people):
        photo = read_photo(person.photos[0])
        faces.append(resize(align(photo, detector(photo)[0], 512), 256))
    correlations: dict[str, list] = {name: [] for name in methods}
    for face in tqdm(faces):
        slow = perception(face, "integrated_gradients", steps=40)
        for name, rows in correlations.items():
            heat = perception(face, name)
            whole, inside = (resize(heat, 64), resize(slow, 64)), (inside_face(heat), inside_face(slow))
            rows.append([rank_correlation(*pair).item() for pair in (whole, inside)])
    correlation = {name: np.mean(rows, 0).round(3).tolist() for name, rows in correlations.items()}
    tested = compare_methods(perception, faces, methods, progress=True)

    def column(measure: str, *names: str) -> dict[str, float]:
        return {name: round(tested[name][measure], 3) for name in names}

    found = {
        "people": len(faces),
        "deletion_at_10": column("deletion_at_10", *methods, DISC),
        "area_under_deletion": column("deletion", *methods, DISC),
        "seconds": column("seconds", *methods),
        "rank_correlation_with_40_steps": {name: whole for name, (whole, _) in correlation.items()},
        "the_same_inside_the_face": {name: inside for name, (_, inside) in correlation.items()},
    }
    write_json(options.out / "attribution.json", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
