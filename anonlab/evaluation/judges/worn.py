"""Whether glasses are worn: a linear readout of gradients around the eyes, which guides nothing.

It learned from labels given by eye to generated faces (`data/glasses_labels.json`) and shares neither
weights nor features with the readout that guides. `python tools/worn_readout.py` makes
`data/worn.json` again.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from skimage.feature import hog

from ...recognizers import crop
from ...weights.store import data_folder

BOX, SIDE, ROWS = (112.0, 104.0, 400.0, 392.0), 96, slice(24, 72)  # of an aligned side of 512; the strip
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
