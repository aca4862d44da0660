"""Teach the judges of glasses, facial hair and hats, and write `data/worn.json`; ten minutes.

They learn from labels given by eye to generated faces (`data/labels.json`).
"""

from __future__ import annotations

import json

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from anonlab.evaluation.judges.worn import PLACES, Place, features
from anonlab.files import atomic_path
from anonlab.generators import Generator, load_generator
from anonlab.training.labels import FOLD, Labels, readout
from anonlab.training.synthetic import CHUNK, SEED, draw_codes, synthesize
from anonlab.weights.store import data_folder

LABELLED = 800  # faces of which all three were labelled
STRENGTH = 1.0  # C of the logistic regression
DECIMALS = 4  # of what is kept


def learn(images: torch.Tensor, labels: Labels, place: Place) -> dict:
    """Learn weights and bias from labelled `images (N, 3, S, S)`, and measure the readout on
    every `FOLD`th of the labelled faces, unseen by it."""
    numbers = torch.cat([labels.worn, labels.bare])
    worn, held = np.arange(len(numbers)) < len(labels.worn), (numbers % FOLD == 0).numpy()
    given = features(images[numbers], place)
    model = readout(given[~held], worn[~held], STRENGTH)
    said, truth = model.decision_function(given[held]), worn[held]
    return {
        "weights": model.coef_[0].round(DECIMALS).tolist(),
        "bias": round(float(model.intercept_[0]), DECIMALS),
        "learned": counts(worn[~held]),
        "held_out": counts(truth)
        | {
            "auc": float(roc_auc_score(truth, said)),
            "worn_right": float((said[truth] > 0).mean()),
            "bare_right": float((said[~truth] < 0).mean()),
        },
    }


def counts(worn: np.ndarray) -> dict[str, int]:
    """Count faces with and without."""
    return {"worn": int(worn.sum()), "bare": int((~worn).sum())}


@torch.no_grad()
def labelled_faces(generator: Generator) -> torch.Tensor:
    """Draw the labelled faces, `(LABELLED, 3, 256, 256)`."""
    codes = torch.cat([
        draw_codes(generator, CHUNK, torch.Generator().manual_seed(1000 * SEED + chunk))
        for chunk in range(-(-LABELLED // CHUNK))
    ])  # fmt: skip
    return torch.cat([synthesize(generator, row[None]) for row in codes[:LABELLED]])


if __name__ == "__main__":
    faces = labelled_faces(load_generator("mobile"))
    learned = {
        name: learn(faces, Labels.load(name).among(LABELLED), place) for name, place in PLACES.items()
    }
    with atomic_path(data_folder() / "worn.json") as partial:
        partial.write_text(json.dumps(learned) + "\n")
