"""What is judged: the pictures of one person, made once and kept.

Two photos, the user's result and what attackers and baselines make of the same, all aligned and
`SIDE` pixels wide. Finished people are not made again as long as photos, weights, protocol and
`PROTOCOL_VERSION` are the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..controls import Controls
from ..files import atomic_path
from ..identity.virtual import keyed
from ..images import resize, to_tensor, to_uint8
from ..perception.masks import build_mask
from ..pipeline import AlignedFace, Anonymizer
from .evaluate import PROTOCOL_VERSION, fingerprints_of
from .measure import Faces
from .people import Person

SIZE, SIDE = 512, 256  # pixels at which faces are made, and judged
AREA, STRICT = 0.25, 0.55  # the default mask, and the preset that hides more of the surroundings
USER, OTHER_KEY = b"user: for measuring only", b"attacker: for measuring only"
NAMES = ("photo", "other photo", "result", "other photo, other key", "other photo, same key",
         "stranger", "surroundings", "other surroundings", "strict surroundings",
         "strict other surroundings")  # fmt: skip


@dataclass
class Pictures:
    """One person's pictures by name (`NAMES`), `(1, 3, SIDE, SIDE)` in [-1, 1]."""

    person: Person
    images: dict[str, torch.Tensor]
    size: float = 0.0  # pixels of the face's square in the photo


def pictures_of(anonymizer: Anonymizer, faces: Faces, state: Path) -> Pictures:
    """All pictures of a person with two aligned photos; those that are in `state` are read."""
    setting = [fingerprints_of(anonymizer), anonymizer.regenerator.start.name, PROTOCOL_VERSION]
    name = hashlib.sha256(json.dumps([setting, faces.digests[:2]]).encode()).hexdigest()[:24]
    path = state / f"{name}.safetensors"
    if path.is_file():
        kept = load_file(path)
    else:
        kept = {name: small(image) for name, image in make(anonymizer, faces.pixels[:2]).items()}
        with atomic_path(path) as partial:
            save_file(kept, partial)
    images = {name: to_tensor(image.numpy()) for name, image in kept.items()}
    return Pictures(faces.person, images, faces.sides[0])


def small(image: torch.Tensor) -> torch.Tensor:
    """As 8-bit pixels hold it, `(SIDE, SIDE, 3)` uint8."""
    return torch.from_numpy(to_uint8(resize(image.cpu(), SIDE)))


@torch.no_grad()
def make(anonymizer: Anonymizer, pixels: list) -> dict[str, torch.Tensor]:
    """Every picture of `NAMES`, `(1, 3, SIZE, SIZE)`."""
    user, attacker = (anonymizer.replace(key=key) for key in (USER, OTHER_KEY))
    first, second = (anonymizer.look(to_tensor(one).to(anonymizer.device)) for one in pixels)
    areas = (AREA, STRICT)
    masks, others = (
        [build_mask(attribution, Controls(mask_area=area), None, SIZE) for area in areas]
        for attribution in (anonymizer.perception(face.image) for face in (first, second))
    )
    return {
        "photo": first.image,
        "other photo": second.image,
        "result": user.regenerate(first, masks[0])[2],
        "other photo, other key": attacker.regenerate(second, others[0])[2],
        "other photo, same key": user.regenerate(second, others[0])[2],
        "stranger": stranger(anonymizer, first, masks[0]),
        "surroundings": surroundings(first.image, masks[0]),
        "other surroundings": surroundings(second.image, others[0]),
        "strict surroundings": surroundings(first.image, masks[1]),
        "strict other surroundings": surroundings(second.image, others[1]),
    }


def surroundings(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`image (1, 3, S, S)` in one grey wherever `mask (1, 1, S, S)` changes anything."""
    return image * (mask <= 0)


def stranger(anonymizer: Anonymizer, face: AlignedFace, mask: torch.Tensor) -> torch.Tensor:
    """The floor of what a result may tell: the same encoder, aimed at a person drawn from the group
    (gender, age, tone, look) for this photo alone."""
    people = anonymizer.population
    weights = people.membership(people.labels(face.embedding, [face.attributes]))[0]
    seed = keyed(to_uint8(resize(face.image.cpu(), 32)).tobytes(), 0)
    target = people.embeddings[torch.multinomial(weights.cpu(), 1, generator=seed)].to(weights)
    tool = anonymizer.regenerator
    image, smaller = (resize(one, SIDE) for one in (face.image, mask))
    ws = tool.start(image, smaller, face.embedding, target)
    return tool.pictures(ws, face.image, mask)[1]
