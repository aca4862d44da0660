"""Your own photos as training samples: no codes are known, so only what can be seen is learned."""

from __future__ import annotations

from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..errors import AnonlabError, InputMissing
from ..generators import Generator
from ..identity.population import Population
from ..images import to_bytes
from ..photo.detection import Detector
from ..photo.faces import align
from ..photo.photos import READABLE, read_photo
from ..recognizers import Recognizer
from .synthetic import BATCH, SIZE, Samples, describe, join


def load_photos(
    folder: Path,
    generator: Generator,
    recognizer: Recognizer,
    population: Population,
    progress: bool = False,
) -> Samples:
    """Every face of every photo below `folder`, aligned; photos without one are told and left out.

    Raises `InputMissing` when not a single face is found.
    """
    device = generator.w_avg.device
    detector = Detector(device)
    faces: list[torch.Tensor] = []
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READABLE)
    for path in tqdm(paths, desc="photos", disable=not progress):
        try:
            photo = read_photo(path)
            found = [align(photo, face, SIZE) for face in detector(photo)]
        except AnonlabError as error:
            print(f"left out: {error}")
            continue
        faces.extend(map(to_bytes, found))
    if not faces:
        raise InputMissing(f"{folder} has no photo with a face; choose another folder for --photos")
    parts = []
    for start in range(0, len(faces), BATCH):
        images = torch.cat(faces[start : start + BATCH]).to(device)
        ws = torch.zeros(len(images), generator.num_ws, generator.w_dim, device=device)
        known = torch.zeros(len(images), dtype=torch.bool, device=device)
        with torch.no_grad():
            parts.append(describe(recognizer, population, images, ws, known, seed=start))
    return join(parts)
