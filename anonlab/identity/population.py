"""The reference population: generated people, from whom virtual identities are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb2lab

from ..controls import KEEP, check_keep
from ..images import from_bytes, resize
from ..weights import store

AGE_WIDTH, TONE_WIDTH = 7.0, 10.0  # of a group's soft edge: years, degrees
MEMBERS = 60  # that a group has at least, if need be with a softer edge
POPULATION_SEED = 20240529  # of the generated people in the file
COMPONENTS = 64  # principal directions in which identities are drawn
# Skin in an aligned image of side 256: both cheeks and the forehead (top, bottom, left, right).
SKIN = ((145, 165, 75, 100), (145, 165, 156, 181), (78, 92, 105, 151))


def skin_tone(image: torch.Tensor) -> float:
    """Individual typology angle of an aligned face `(1, 3, S, S)`, in degrees, light is high.

    arctan((L* - 50) / b*) of the median colour of cheeks and forehead (Chardon et al. 1991).
    """
    return float(skin_tones(image)[0])


def skin_tones(images: torch.Tensor) -> np.ndarray:
    """The same of several faces `(N, 3, S, S)`, `(N,)`."""
    small = resize(images, 256)
    skin = torch.cat([small[:, :, a:b, c:d].flatten(2) for a, b, c, d in SKIN], 2)
    pixels = skin.clamp(-1, 1).mT.cpu().numpy() / 2 + 0.5  # (N, P, 3)
    lightness, _, yellow = np.median(rgb2lab(pixels), axis=1).T
    return np.degrees(np.arctan2(lightness - 50, yellow))


def skin_colours(images: torch.Tensor) -> torch.Tensor:
    """Mean colours of both cheeks and the forehead of aligned faces: `(N, C, S, S)` to `(N, C, 3)`."""
    scale = images.shape[-1] / 256
    boxes = (tuple(round(side * scale) for side in box) for box in SKIN)
    return torch.stack([images[:, :, a:b, c:d].mean((2, 3)) for a, b, c, d in boxes], 2)


@dataclass(frozen=True)
class Attributes:
    """What a person shares with many others, as read by anonlab (estimates, not facts)."""

    gender: float  # -1 … 1, towards the two labels of the population's file
    age: float  # years
    tone: float  # degrees, see `skin_tone`


class Population:
    """Embeddings and attributes of generated people, from which virtual identities are drawn."""

    generator = "mobile"  # that made the pictures, from `z`

    def __init__(self, tensors: dict[str, torch.Tensor], device: torch.device | str = "cpu"):
        self.embeddings = tensors["embeddings"].to(device, torch.float32)  # (N, dim)
        self.gender = tensors["gender"].to(device, torch.float32)  # (N,), -1 or 1
        self.age = tensors["age"].to(device, torch.float32)  # (N,), years
        self.tone = tensors["tone"].to(device, torch.float32)  # (N,), degrees
        self.thumbnails = from_bytes(tensors["thumbnails"].to(device))  # (N, 3, 16, 16)
        self.mean = self.embeddings.mean(0, keepdim=True)
        labels = torch.stack([self.gender, self.age, self.tone], 1)  # in the order of KEEP
        self.label_mean = labels.mean(0)
        centred = self.embeddings - self.mean
        self.readout = ridge(centred, labels - self.label_mean)  # (dim, 3)
        self.covariance = centred.T @ centred / len(centred)
        # The population's principal directions and spreads, so that what is drawn is face-like.
        _, spread, directions = torch.linalg.svd(centred, full_matrices=False)
        self.spread, self.directions = spread[:COMPONENTS], directions[:COMPONENTS]

    @classmethod
    def load(cls, device: torch.device | str = "cpu") -> Population:
        """The one that ships, for the recogniser `dlib`."""
        return cls(store.load_shipped("population"), device)

    def attributes(self, embedding: torch.Tensor, image: torch.Tensor) -> Attributes:
        """Gender and age by linear regression from the embedding `(1, dim)`; tone from pixels."""
        gender, age, _ = self.read(embedding[0]).tolist()
        return Attributes(max(-1.0, min(1.0, gender)), age, skin_tone(image))

    def read(self, embedding: torch.Tensor) -> torch.Tensor:
        """Gender, age and tone `(..., 3)` by linear regression from embeddings `(..., dim)`."""
        return (embedding - self.mean[0]) @ self.readout + self.label_mean

    def membership(self, attributes: Attributes, keep: Sequence[str] = KEEP) -> torch.Tensor:
        """How much each generated person belongs to the group: `(N,)`, summing to 1.

        Raises `UnknownOption` for a name that is not in `KEEP`.
        """
        check_keep(keep)
        gender = -4.0 * (self.gender != math.copysign(1, attributes.gender)) * ("gender" in keep)
        away = torch.zeros_like(self.age)
        if "age" in keep:
            away = away + ((self.age - attributes.age) / AGE_WIDTH).square() / 2
        if "tone" in keep:
            away = away + ((self.tone - attributes.tone) / TONE_WIDTH).square() / 2
        width = 1.0
        while True:
            weight = (gender - away / width**2).softmax(0)
            if 1 / weight.square().sum() >= MEMBERS:  # how many equal members that is worth
                return weight
            width *= 1.2  # few are like that: a mean of three people would be one of them

    def natural_change(self, change: torch.Tensor, keep: Sequence[str]) -> torch.Tensor:
        """The smallest step `(dim,)` that changes the kept attributes' readout by `change (3,)`.

        Smallest in the Mahalanobis metric of the population: an age is changed by what changes with
        age, and not by what the linear readout happens to weigh.
        """
        kept = [KEEP.index(name) for name in keep]
        readout = self.readout[:, kept]
        natural = self.covariance @ readout
        return natural @ torch.linalg.solve(readout.T @ natural, change[kept])


def ridge(inputs: torch.Tensor, outputs: torch.Tensor, damping: float = 0.01) -> torch.Tensor:
    """Linear regression, `(N, A)` to `(N, B)`, as a matrix `(A, B)`."""
    gram = inputs.T @ inputs
    gram = gram + damping * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    return torch.linalg.solve(gram, inputs.T @ outputs)
