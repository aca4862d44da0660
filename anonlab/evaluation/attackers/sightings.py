"""What attackers get to see of one person besides the pictures of the evaluation, as embeddings.

Kept person by person like the evaluation itself, under these names (`RECOGNISER` is each judge's):

- `other settings/RECOGNISER`: the second photo by the same tool, the attacker's key, and another
  mask area and seed than the user's
- `surroundings/RECOGNISER/probe`, `…/gallery`: both photos with the mask's region in one grey
- `album/RECOGNISER/NUMBER`: further photos of the person, with the user's key and settings
- `cluster/RECOGNISER/probe`, `…/gallery`: both photos with the one identity, by the user's key, of the
  mean embedding of all photos of the person that are here, as an album gives it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ...pipeline import Anonymizer
from ..evaluate import aligned_faces, depends_on, fingerprints_of
from ..judging import Instruments
from ..measure import Faces, rounded
from ..methods import Protocol, Subject
from ..people import Person
from ..results import PersonResult, read_result, write_result

OTHER_AREA, OTHER_SEED = 0.35, 1  # of the attacker who does not know the user's; added to the seed
ALBUM = 5  # photos of one person that are looked at, at most


def sightings(
    anonymizer: Anonymizer,
    people: Sequence[Person],
    instruments: Instruments,
    protocol: Protocol,
    state: Path,
    progress: bool = False,
) -> dict[str, PersonResult]:
    """The embeddings of everybody with two usable photos, by name; who is finished is read from
    `state`. Raises what `evaluate` raises."""
    setting = depends_on(anonymizer, instruments, protocol, fingerprints_of(anonymizer))
    found = {}
    for person in tqdm(people, desc="attackers look", unit="person", disable=not progress):
        faces = aligned_faces(anonymizer, person, [], ALBUM)
        if len(faces.pixels) < 2:
            continue
        name = hashlib.sha256(json.dumps([setting, person.name, faces.digests]).encode()).hexdigest()
        path = state / f"{name[:24]}.safetensors"
        result = read_result(path)
        if result is None:
            result = PersonResult(person.name, {}, {}, _look(anonymizer, faces, instruments, protocol))
            write_result(path, result)
        found[person.name] = result
    return found


def surroundings(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`image (1, 3, S, S)` in one grey wherever `mask (1, 1, S, S)` changes anything."""
    return image * (mask <= 0)


def _look(
    anonymizer: Anonymizer, faces: Faces, instruments: Instruments, protocol: Protocol
) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    ours, theirs = protocol.key(), protocol.key(attacker=True)

    def keep(kind: str, image: torch.Tensor, which: str = "") -> None:
        for recognizer, embedding in instruments.embed(rounded(image.cpu())).items():
            tensors["/".join([kind, recognizer, *([which] if which else [])])] = embedding

    subjects = [
        Subject(anonymizer, faces.image(index), protocol.seed) for index in range(len(faces.pixels))
    ]
    second = Subject(anonymizer, faces.image(1), protocol.seed + OTHER_SEED)
    keep("other settings", second.make(theirs, OTHER_AREA))
    for number, subject in enumerate(subjects[2:]):
        keep("album", subject.make(ours, protocol.main_area), str(number))
    mean = torch.cat([subject.face.embedding for subject in subjects]).mean(0, keepdim=True)
    one = replace(
        subjects[0].face,
        embedding=mean,
        attributes=anonymizer.population.attributes(mean, subjects[0].face.image),
    )
    for subject, which in zip(subjects[:2], ("probe", "gallery"), strict=True):
        mask = subject.mask(protocol.main_area)
        keep("surroundings", surroundings(subject.image, mask), which)
        subject.face = replace(one, image=subject.face.image)
        keep("cluster", subject.make(ours, protocol.main_area), which)
    return tensors
