"""Whether glasses, facial hair or a hat are worn: linear readouts of gradients, which guide nothing.

They learned from labels given by eye to generated faces (`data/labels.json`) and share neither weights
nor features with the readouts that guide. `benchmarks/worn.py` teaches them and writes `data/worn.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from skimage.feature import hog

from ...recognizers import crop
from ...weights.store import data_folder

MARGIN = 1.0  # from 0 a readout must be to count (a chance of 73 %)


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


def worn(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Read what is worn, by `data/worn.json`: logits `(N,)` by the names of `PLACES`, of aligned
    `images (N, 3, S, S)` in [-1, 1]."""
    readouts = json.loads((data_folder() / "worn.json").read_text())
    found = {}
    for name, place in PLACES.items():
        logits = features(images, place) @ np.array(readouts[name]["weights"])
        found[name] = torch.from_numpy(logits + readouts[name]["bias"]).float()
    return found
