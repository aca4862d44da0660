"""Labels given by eye to generated faces, and linear readouts that learn them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ..errors import InputDamaged
from ..perception.texture import hair_features, texture
from ..weights.store import data_folder
from .synthetic import BATCH, CHUNK, SEED, Samples

FOLD = 4  # every fourth face is for validation only
HAIR = 0.1  # C of the logistic regression of facial hair
RANK = 64  # components of texture


@dataclass(frozen=True)
class Labels:
    """Number the faces of `load_samples` that wear something and that do not."""

    worn: torch.Tensor  # (n,) int64; of glasses clear ones and sunglasses
    bare: torch.Tensor  # (m,) int64; what cannot be told is in neither

    @classmethod
    def load(cls, what: str = "glasses") -> Labels:
        """Read those of `glasses`, `facial_hair` or `hat`. Raises `InputDamaged` for labels of other
        faces."""
        path = data_folder() / "labels.json"
        read = json.loads(path.read_text())
        if (read["seed"], read["chunk"]) != (SEED, CHUNK):
            raise InputDamaged(
                f"{path} is of other faces than those of seed {SEED}, by {CHUNK}; install it again"
            )
        return cls(torch.tensor(read[what]["worn"]), torch.tensor(read[what]["bare"]))

    def count(self) -> int:
        """Return how many samples it takes to have every labelled one."""
        return int(torch.cat([self.worn, self.bare]).max()) + 1

    def among(self, count: int) -> Labels:
        """Return those of the first `count` samples."""
        return Labels(*(index[index < count] for index in (self.worn, self.bare)))


def readout(given: np.ndarray, worn: np.ndarray, strength: float) -> LogisticRegression:
    """Learn from features `(n, F)` what is `worn (n,)`; worn and bare weigh the same."""
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000)
    return model.fit(given, worn)


def learn_facial_hair(samples: Samples, labels: Labels) -> torch.Tensor:
    """Learn the readout of facial hair that guides: 448 weights and the bias."""
    index = torch.cat([labels.worn, labels.bare])
    given = torch.cat([hair_features(samples.pictures(some)) for some in index.split(BATCH)])
    worn = np.arange(len(index)) < len(labels.worn)
    model = readout(given.cpu().numpy(), worn, HAIR)
    return torch.tensor([*model.coef_[0], model.intercept_[0]]).to(given)


def learn_texture(samples: Samples) -> torch.Tensor:
    """Find the main components `(1024, 64)` of the texture of all samples but the held-out ones."""
    index = torch.arange(samples.held_out, len(samples))
    rough = torch.cat([texture(samples.pictures(some)) for some in index.split(BATCH)])
    return torch.linalg.svd(rough - rough.mean(0), full_matrices=False).Vh[:RANK].T
