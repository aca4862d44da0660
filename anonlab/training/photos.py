"""Your own photos as training samples: no codes are known, so only what can be seen is learned."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import AnonlabError, InputMissing
from ..generators import Generator
from ..identity.population import Population
from ..images import to_bytes
from ..photo.detection import Detector
from ..photo.faces import align
from ..photo.photos import READABLE, read_photo
from ..recognizers import Recognizer
from ..watch import Watch, quiet
from .synthetic import SIZE, Samples, describe, with_targets


def load_photos(
    folder: Path,
    generator: Generator,
    recognizer: Recognizer,
    population: Population,
    watch: Watch = quiet,
) -> Samples:
    """Align every face of every photo below `folder`; photos without one are told and left out.

    Raises `InputMissing` when not a single face is found.
    """
    device = generator.w_avg.device
    detector = Detector(device)
    faces: list[torch.Tensor] = []
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE)
    for number, path in enumerate(paths):
        watch("photos", number / len(paths))
        try:
            photo = read_photo(path)
            faces += [to_bytes(align(photo, face, SIZE)) for face in detector(photo)]
        except AnonlabError as error:
            print(f"left out: {error}")
    if not faces:
        raise InputMissing(f"{folder} has no photo with a face; choose another folder for --photos")
    images = torch.cat(faces).to(device)
    ws = torch.zeros(len(images), generator.num_ws, generator.w_dim, device=device)
    known = torch.zeros(len(images), dtype=torch.bool, device=device)
    return with_targets(population, describe(recognizer, images, ws, known), seed=0)
