"""Teach the readout of worn glasses: `python tools/worn_readout.py` writes `data/worn.json`."""

from __future__ import annotations

import json

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from anonlab.evaluation.judges.worn import features
from anonlab.files import atomic_path
from anonlab.generators import Generator, load_generator
from anonlab.training.glasses import FOLD, Labels
from anonlab.training.synthetic import CHUNK, SEED, draw_codes, synthesize
from anonlab.weights.store import data_folder

DECIMALS = 4  # of what is kept


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
