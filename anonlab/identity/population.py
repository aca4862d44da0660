"""The reference population: generated people, from whom virtual identities are drawn.

Most are as the generator draws people; others make rare skin tones less rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb2lab

from ..controls import KEEP
from ..errors import check_choice
from ..images import from_bytes, resize
from ..weights import store

# Of a group's soft edge: years, degrees, standard deviations of a look's components.
AGE_WIDTH, TONE_WIDTH, LOOK_WIDTH = 7.0, 10.0, 1.0
MEMBERS = 60  # that a group has at least, if need be with a softer edge
LOOKS = 5  # components of the look
# Columns of `Population.read` that each of KEEP stands for.
COLUMNS = {"gender": [0], "age": [1], "tone": [2], "look": list(range(3, 3 + LOOKS))}
POPULATION_SEED = 20240529  # of the generated people in the file
COMPONENTS = 64  # principal directions in which identities are drawn
# Skin in an aligned image of side 256: both cheeks and the forehead (top, bottom, left, right).
SKIN = ((145, 165, 75, 100), (145, 165, 156, 181), (78, 92, 105, 151))


def skin_tones(images: torch.Tensor) -> np.ndarray:
    """Measure the individual typology angle of aligned faces `(N, 3, S, S)`, `(N,)` in degrees, light is
    high: arctan((L* - 50) / b*) of the median of cheeks and forehead (Chardon et al. 1991)."""
    small = resize(images, 256)
    skin = torch.cat([small[:, :, a:b, c:d].flatten(2) for a, b, c, d in SKIN], 2)
    pixels = skin.clamp(-1, 1).mT.cpu().numpy() / 2 + 0.5  # (N, P, 3)
    lightness, _, yellow = np.median(rgb2lab(pixels), axis=1).T
    return np.degrees(np.arctan2(lightness - 50, yellow))


@dataclass(frozen=True)
class Attributes:
    """What a person shares with many others, as read by anonlab (estimates, not facts)."""

    gender: float  # -1 … 1, towards the two labels of the population's file
    age: float  # years
    tone: float  # degrees, see `skin_tones`


class Population:
    """Embeddings and attributes of generated people, from which virtual identities are drawn.

    A *look* is what an embedding tells of a person beyond gender, age and skin tone in the directions
    in which people differ most: apparent ancestry, above all. It is `LOOKS` numbers in standard
    deviations, the leading principal components of what the three labels do not explain.
    """

    generator = "mobile"  # that made the pictures, from `z`

    def __init__(self, tensors: dict[str, torch.Tensor], device: torch.device | str = "cpu"):
        self.embeddings = tensors["embeddings"].to(device, torch.float32)  # (N, dim)
        self.gender = tensors["gender"].to(device, torch.float32)  # (N,), -1 or 1
        self.age = tensors["age"].to(device, torch.float32)  # (N,), years
        self.tone = tensors["tone"].to(device, torch.float32)  # (N,), degrees
        self.thumbnails = from_bytes(tensors["thumbnails"].to(device))  # (n, 3, 16, 16), of the first
        self.as_drawn = self.embeddings[: len(self.thumbnails)]  # (n, dim), of the first
        self.mean = self.embeddings.mean(0, keepdim=True)
        labels = torch.stack([self.gender, self.age, self.tone], 1)
        centred = self.embeddings - self.mean
        self.covariance = centred.T @ centred / len(centred)
        readout = ridge(centred, labels - labels.mean(0))  # (dim, 3)
        look = _look_readout(centred, labels - labels.mean(0), readout)  # (dim, LOOKS)
        self.readout = torch.cat([readout, look], 1)  # (dim, 3 + LOOKS), see COLUMNS
        self.label_mean = torch.cat([labels.mean(0), look.new_zeros(LOOKS)])
        self.look = centred @ look  # (N, LOOKS)
        # The population's principal directions and spreads, so that what is drawn is face-like.
        _, spread, directions = torch.linalg.svd(centred, full_matrices=False)
        self.spread, self.directions = spread[:COMPONENTS], directions[:COMPONENTS]

    @classmethod
    def load(cls, device: torch.device | str = "cpu") -> Population:
        """Load the one that ships, for the recogniser `dlib`."""
        return cls(store.load_shipped("population"), device)

    def attributes(self, embedding: torch.Tensor, image: torch.Tensor) -> Attributes:
        """Read gender and age linearly from the embedding `(1, dim)`, and tone from pixels."""
        gender, age = self.read(embedding[0]).tolist()[:2]
        return Attributes(max(-1.0, min(1.0, gender)), age, float(skin_tones(image)[0]))

    def labels(self, embeddings: torch.Tensor, attributes: Sequence[Attributes]) -> torch.Tensor:
        """Collect what is known of N people with `embeddings (N, dim)`, `(N, 3 + LOOKS)` in the columns
        of `read`: their attributes, and the look that is read."""
        labels = self.read(embeddings)
        known = [(person.gender, person.age, person.tone) for person in attributes]
        return torch.cat([torch.tensor(known).to(labels), labels[:, 3:]], 1)

    def read(self, embedding: torch.Tensor) -> torch.Tensor:
        """Read gender, age, tone and look `(..., 3 + LOOKS)` from embeddings `(..., dim)`, linearly."""
        return (embedding - self.mean[0]) @ self.readout + self.label_mean

    def membership(self, labels: torch.Tensor, keep: Sequence[str] = KEEP) -> torch.Tensor:
        """Weigh the generated people of each face's group: `(N, M)` for `labels (N, 3 + LOOKS)` in the
        columns of `read`; each row sums to 1. Raises `UnknownOption` for a name that is not in `KEEP`.
        """
        check_choice("keep", keep, KEEP)
        gender, age, tone, look = labels.split([1, 1, 1, LOOKS], 1)
        away = {
            "gender": 4.0 * (self.gender != torch.where(gender < 0, -1.0, 1.0)),
            "age": ((self.age - age) / AGE_WIDTH).square() / 2,
            "tone": ((self.tone - tone) / TONE_WIDTH).square() / 2,
            "look": torch.cdist(look, self.look).square() / (2 * LOOK_WIDTH**2),
        }
        firm = -away["gender"] * ("gender" in keep)  # is not widened
        soft = sum(away[name] for name in keep if name != "gender") + torch.zeros_like(firm)
        width = torch.ones_like(gender)
        while True:
            weight = (firm - soft / width**2).softmax(1)
            few = 1 / weight.square().sum(1, keepdim=True) < MEMBERS  # as many equal members as that
            if not few.any():
                return weight
            width = torch.where(few, 1.2 * width, width)  # a mean of three people would be one of them

    def natural_change(self, change: torch.Tensor, keep: Sequence[str]) -> torch.Tensor:
        """Find the steps `(N, dim)`, smallest in the Mahalanobis metric of the population, that change
        the kept columns of `read` by those of `change (N, 3 + LOOKS)`: by what changes with age, not by
        what the linear readout happens to weigh."""
        kept = [column for name in keep for column in COLUMNS[name]]
        readout = self.readout[:, kept]
        natural = self.covariance @ readout
        return torch.linalg.solve(readout.T @ natural, change[:, kept].T).T @ natural.T


def _look_readout(centred: torch.Tensor, labels: torch.Tensor, readout: torch.Tensor) -> torch.Tensor:
    """Fit the matrix `(dim, LOOKS)` that reads a look from centred embeddings `(N, dim)`, whose centred
    `labels (N, 3)` are read by `readout (dim, 3)`."""
    explained = ridge(labels, centred, 1e-4)  # (3, dim)
    _, _, directions = torch.linalg.svd(centred - labels @ explained, full_matrices=False)
    look = directions[:LOOKS].T  # (dim, LOOKS)
    look = look - readout @ (explained @ look)
    return look / (centred @ look).std(0)


def ridge(inputs: torch.Tensor, outputs: torch.Tensor, damping: float = 0.01) -> torch.Tensor:
    """Fit a linear regression from `(N, A)` to `(N, B)`, as a matrix `(A, B)`."""
    gram = inputs.T @ inputs
    gram = gram + damping * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    return torch.linalg.solve(gram, inputs.T @ outputs)
