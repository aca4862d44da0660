"""The photos that come with anonlab: one real face in the public domain, and generated ones.

Photos of one generated person differ in what the recogniser does not look at (light, pose, clothes).
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from PIL import Image

from ..errors import UnknownOption
from ..generators import Generator
from ..generators.base import draw_z
from ..identity.population import POPULATION_SEED, Population, ridge
from ..images import to_uint8

ASTRONAUT = "astronaut"  # Eileen Collins, NASA, public domain; ships with scikit-image
SAMPLES = (ASTRONAUT, *(f"synthetic-{seed}" for seed in (3, 8, 15, 21, 42)))  # to choose from
SYNTHETIC = re.compile(r"synthetic-(\d+)(?:-(\d+))?")
DIFFERENCE = 0.45  # how far another photo is from the first, in standard deviations of w
DAMPING = 0.05  # of the regression from codes to identity


def sample_photo(name: str, generator: Generator | None = None) -> Image.Image:
    """Make a sample photo: `astronaut`, or `synthetic-SEED`, a generated face (1024 px, `truncation_psi`
    0.7); `synthetic-SEED-PHOTO` is another photo of the same person, PHOTO 1, 2, …

    Raises `UnknownOption` for another name, or when a synthetic face is asked of no generator.
    """
    if name == ASTRONAUT:
        from skimage import data

        return Image.fromarray(data.astronaut())
    match = SYNTHETIC.fullmatch(name)
    if not match:
        raise UnknownOption(
            f"sample {name!r} does not exist; choose astronaut, synthetic-SEED or synthetic-SEED-PHOTO"
        )
    if generator is None:
        raise UnknownOption(f"sample {name!r} is made by a generator; pass one")
    seed, photo = int(match[1]), int(match[2] or 0)
    with torch.no_grad():
        w = generator.mapping(draw_z(generator, seed), truncation_psi=0.7)
        if photo:
            w = w + DIFFERENCE * generator.w_std * _unseen_difference(generator, seed, photo)
        return Image.fromarray(to_uint8(generator.synthesis(generator.broadcast(w))))


def _unseen_difference(generator: Generator, seed: int, photo: int) -> torch.Tensor:
    """Draw another person's difference from the average, without what a linear map from `w` to dlib's
    embedding can see: `(1, w_dim)` in standard deviations."""
    population = Population.load(generator.w_avg.device)
    w = generator.mapping(draw_z(generator, POPULATION_SEED, len(population.as_drawn)))
    centred = population.as_drawn - population.as_drawn.mean(0)
    identity = ridge((w - generator.w_avg) / generator.w_std, centred, DAMPING)  # (w_dim, dim)
    directions, _ = torch.linalg.qr(identity)
    drawn = generator.mapping(draw_z(generator, 1_000_000 * photo + seed))
    other = (drawn - generator.w_avg) / generator.w_std
    return other - (other @ directions) @ directions.T


def is_sample(name: str) -> bool:
    """Say whether a name is that of a sample, which is no secret."""
    return name == ASTRONAUT or SYNTHETIC.fullmatch(name) is not None


def open_photo(name: str, generator: Generator | None = None) -> Image.Image | Path:
    """Return a sample by its name, or else the path of a photo, as `read_photo` and `Anonymizer` take
    it."""
    return sample_photo(name, generator) if is_sample(name) else Path(name)
