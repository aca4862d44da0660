"""Whether glasses are worn: a linear readout of gradients around the eyes, which guides nothing.

It learned from labels given by eye to generated faces (`data/glasses_labels.json`) and shares neither
weights nor features with the readout that guides. `python -m anonlab.evaluation.judges.worn` makes
`data/worn.json` again.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ...files import atomic_path
from ...generators import Generator, load_generator
from ...recognizers import crop
from ...training.glasses import FOLD, Labels
from ...training.synthetic import CHUNK, SEED, draw_codes, synthesize
from ...weights.store import data_folder

BOX, SIDE, ROWS = (112.0, 104.0, 400.0, 392.0), 96, slice(24, 72)  # of an aligned side of 512; the strip
DECIMALS = 4  # of what is kept
MARGIN = 1.0  # from 0 a readout must be to count (a chance of 73 %)


def features(images: torch.Tensor) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs 2005) around the eyes, `(N, F)`."""
    grey = crop(images, BOX, SIDE).mean(1)[:, ROWS].numpy()
    return np.stack([hog(one, 8, (8, 8), (2, 2)) for one in grey])


class Worn:
    """Read whether glasses are worn, by `data/worn.json`: positive where they are."""

    def __init__(self) -> None:
        kept = json.loads((data_folder() / "worn.json").read_text())
        self.weights, self.bias = np.array(kept["weights"]), kept["bias"]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits `(N,)` of aligned `images (N, 3, S, S)` in [-1, 1]."""
        return torch.from_numpy(features(images) @ self.weights + self.bias).float()


def learn(generator: Generator, count: int = 500) -> dict:
    """Learn weights and bias, and measure the readout on every `FOLD`th labelled face, unseen by it.

    Faces are those of the labels among the first `count`; as many bare ones are drawn, twice.
    """
    labels = Labels.load().among(count)
    bare = labels.bare[: 2 * len(labels.worn)]
    numbers = torch.cat([labels.worn, bare])
    codes = torch.cat([
        draw_codes(generator, CHUNK, torch.Generator().manual_seed(1000 * SEED + chunk))
        for chunk in range(-(-count // CHUNK))
    ])  # fmt: skip
    with torch.no_grad():
        given = np.concatenate([features(synthesize(generator, codes[one][None])) for one in numbers])
    worn = np.arange(len(numbers)) < len(labels.worn)
    held = (numbers % FOLD == 0).numpy()
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000)
    model.fit(given[~held], worn[~held])
    said = model.decision_function(given[held])
    model.coef_ = model.coef_.round(DECIMALS)
    return {
        "weights": model.coef_[0].tolist(),
        "bias": round(float(model.intercept_[0]), DECIMALS),
        "learned": counts(worn[~held]),
        "held_out": counts(worn[held])
        | {
            "auc": float(roc_auc_score(worn[held], said)),
            "worn_right": float((said[worn[held]] > 0).mean()),
            "bare_right": float((said[~worn[held]] < 0).mean()),
        },
    }


def counts(worn: np.ndarray) -> dict[str, int]:
    """Count faces with and without glasses."""
    return {"worn": int(worn.sum()), "bare": int((~worn).sum())}


if __name__ == "__main__":
    with atomic_path(data_folder() / "worn.json") as partial:
        partial.write_text(json.dumps(learn(load_generator("mobile"))) + "\n")
