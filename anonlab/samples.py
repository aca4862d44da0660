"""The photos that come with anonlab: one real face in the public domain, and generated ones."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from .errors import UnknownOption
from .generators import Generator
from .images import to_uint8

ASTRONAUT = "astronaut"  # Eileen Collins, NASA, public domain; ships with scikit-image
SAMPLES = (ASTRONAUT, *(f"synthetic-{seed}" for seed in (3, 8, 15, 21, 42)))  # to choose from


def sample_photo(name: str, generator: Generator | None = None) -> Image.Image:
    """`astronaut`, or `synthetic-SEED`: a generated face (1024 px, `truncation_psi` 0.7).

    Raises `UnknownOption` for another name, or when a synthetic face is asked of no generator.
    """
    if name == ASTRONAUT:
        from skimage import data

        return Image.fromarray(data.astronaut())
    kind, _, seed = name.partition("-")
    if kind != "synthetic" or not seed.isdigit():
        raise UnknownOption(f"sample {name!r} does not exist; choose astronaut or synthetic-SEED")
    if generator is None:
        raise UnknownOption(f"sample {name!r} is made by a generator; pass one")
    with torch.no_grad():
        z = torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(int(seed)))
        device = generator.w_avg.device
        w = generator.mapping(z.to(device), truncation_psi=0.7)
        return Image.fromarray(to_uint8(generator.synthesis(generator.broadcast(w))))


def open_photo(name: str, generator: Generator | None = None) -> Image.Image | Path:
    """A sample by its name, or else the path of a photo, as `read_photo` and `Anonymizer` take it."""
    if name == ASTRONAUT or name.startswith("synthetic-"):
        return sample_photo(name, generator)
    return Path(name)
