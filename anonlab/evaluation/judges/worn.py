"""Whether glasses, facial hair or a hat are worn: linear readouts of gradients, which guide nothing.

They learned from labels given by eye to generated faces (`data/labels.json`) and share neither weights
nor features with the readouts that guide. `python -m anonlab.evaluation.judges.worn` teaches them and
writes `data/worn.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from skimage.feature import hog
from sklearn.metrics import roc_auc_score

from ...files import atomic_path
from ...generators import Generator, load_generator
from ...recognizers import crop
from ...training.labels import FOLD, Labels, readout
from ...training.synthetic import CHUNK, SEED, draw_codes, synthesize
from ...weights.store import data_folder

MARGIN = 1.0  # from 0 a readout must be to count (a chance of 73 %)
LABELLED = 800  # faces of which all three were labelled
STRENGTH = 1.0  # C of the logistic regression
DECIMALS = 4  # of what is kept


@dataclass(frozen=True)
class Place:
    """Say where something is worn, and what is read there."""

    box: tuple[float, float, float, float]  # of an aligned side of 512
    side: int  # pixels to which the box is scaled
    rows: tuple[int, int] = (0, 64)  # of these
    colours: int = 0  # squares across the box whose mean colours are read, too


PLACES = {
    "glasses": Place((112.0, 104.0, 400.0, 392.0), 96, (24, 72)),
    "facial_hair": Place((144.0, 288.0, 368.0, 496.0), 64, colours=6),  # moustache or beard
    "hat": Place((96.0, 0.0, 416.0, 200.0), 64, colours=6),
}


def features(images: torch.Tensor, place: Place) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs 2005), and colours less their mean, of
    aligned `images (N, 3, S, S)`: `(N, F)`."""
    cut = crop(images, place.box, place.side)
    grey = cut.mean(1)[:, slice(*place.rows)].numpy()
    found = np.stack([hog(one, 8, (8, 8), (2, 2)) for one in grey])
    if not place.colours:
        return found
    colours = F.adaptive_avg_pool2d(cut, place.colours)
    colours = colours - colours.mean((2, 3), keepdim=True)
    return np.concatenate([found, colours.flatten(1).numpy()], 1)


class Worn:
    """Read what is worn, by `data/worn.json`: positive where it is."""

    def __init__(self) -> None:
        kept = json.loads((data_folder() / "worn.json").read_text())
        self.readouts = {name: (np.array(kept[name]["weights"]), kept[name]["bias"]) for name in PLACES}

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return logits `(N,)` by the names of `PLACES`, of aligned `images (N, 3, S, S)` in [-1, 1]."""
        return {
            name: torch.from_numpy(features(images, PLACES[name]) @ weights + bias).float()
            for name, (weights, bias) in self.readouts.items()
        }


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
def labelled_faces(generator: Generator, count: int = LABELLED) -> torch.Tensor:
    """Draw the first `count` labelled faces, `(count, 3, 256, 256)`."""
    codes = torch.cat([
        draw_codes(generator, CHUNK, torch.Generator().manual_seed(1000 * SEED + chunk))
        for chunk in range(-(-count // CHUNK))
    ])  # fmt: skip
    return torch.cat([synthesize(generator, row[None]) for row in codes[:count]])


if __name__ == "__main__":
    faces = labelled_faces(load_generator("mobile"))
    learned = {
        name: learn(faces, Labels.load(name).among(LABELLED), place) for name, place in PLACES.items()
    }
    with atomic_path(data_folder() / "worn.json") as partial:
        partial.write_text(json.dumps(learned) + "\n")
