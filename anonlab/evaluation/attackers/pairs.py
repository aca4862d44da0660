"""Pairs to learn an attack from: faces, and what the attacker's own copy of the tool makes of them.

Every face gets a key and a seed of its own, which only the attacker knows; the user's key is never
used. Nobody who is evaluated is among them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ...errors import InputMissing
from ...pipeline import Anonymizer
from ...training.synthetic import draw_codes
from ..evaluate import aligned_faces, depends_on, fingerprints_of
from ..judging import Instruments
from ..measure import rounded
from ..methods import SIZE, Protocol, Subject
from ..people import Person, load_people
from ..results import PersonResult, read_result, write_result
from .sightings import surroundings

GENERATED = "generated"  # the name of the source that needs no photos
PAIRS = 300  # of generated people, unless another number is asked for
SEED = 900_000  # of the generated people; no other set is drawn from it

Draw = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Pairs:
    """What one recogniser says of N faces; row `i` of each tensor is the same face."""

    before: torch.Tensor  # (N, dim)
    after: torch.Tensor  # (N, dim), of the result
    surroundings: torch.Tensor  # (N, dim), of the picture without the mask's region


def make_pairs(
    anonymizer: Anonymizer,
    sources: dict[str, int | None],
    instruments: Instruments,
    protocol: Protocol,
    evaluated: Sequence[Person],
    state: Path,
    progress: bool = False,
) -> dict[str, Pairs]:
    """Pairs by recogniser, from every source: `generated`, or a folder of photos; how many, or None
    for `PAIRS` or everybody.

    Of a folder everybody is left out of whom one of the `evaluated` has a photo. Finished pairs are kept
    in `state`. Raises `InputMissing` when nobody is left, and what `load_people` raises.
    """
    setting = depends_on(anonymizer, instruments, protocol, fingerprints_of(anonymizer))
    known = {digest for person in evaluated for digest in _digests(person)}
    rows: list[PersonResult] = []
    for source, count in sources.items():
        faces = (
            _generated(anonymizer, PAIRS if count is None else count)
            if source == GENERATED
            else _photos(anonymizer, source, count, known)
        )
        for name, image in tqdm(faces, desc=f"pairs: {source}", unit="pair", disable=not progress):
            digest = hashlib.sha256(json.dumps([setting, name]).encode())
            path = state / f"{digest.hexdigest()[:24]}.safetensors"
            row = read_result(path)
            if row is None:
                row = PersonResult(name, {}, {}, _pair(anonymizer, image(), name, instruments, protocol))
                write_result(path, row)
            rows.append(row)
    if not rows:
        raise InputMissing(
            f"{', '.join(sources)} has nobody to learn an attack from who is not evaluated as well; "
            f"name other people, or {GENERATED}"
        )
    return {
        one.name: Pairs(
            *(
                torch.stack([row.tensors[f"{kind}/{one.name}"] for row in rows])
                for kind in ("before", "after", "surroundings")
            )
        )
        for one in instruments.judges
    }


def _generated(anonymizer: Anonymizer, count: int) -> list[tuple[str, Draw]]:
    """Names of generated people, and what draws each."""
    generator = anonymizer.generator

    def draw(number: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(SEED + number)
        with torch.no_grad():
            return generator.synthesis(draw_codes(generator, 1, rng), SIZE).clamp(-1, 1)

    return [(f"{GENERATED} {number}", partial(draw, number)) for number in range(count)]


def _photos(
    anonymizer: Anonymizer, folder: str, count: int | None, known: set[str]
) -> list[tuple[str, Draw]]:
    """The faces of people in a folder, `count` at most, of whom no photo is `known`."""
    named: list[tuple[str, Draw]] = []
    people = 0
    for person in load_people(folder):
        if people == count:
            break
        if known & _digests(person):
            continue
        faces = aligned_faces(anonymizer, person, [])
        people += 1
        named += [(digest, partial(faces.image, index)) for index, digest in enumerate(faces.digests)]
    return named


def _digests(person: Person) -> set[str]:
    """Of the files of somebody's photos; those that are not there are told by the evaluation."""
    paths = [photo for photo in person.photos if isinstance(photo, Path) and photo.is_file()]
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _pair(
    anonymizer: Anonymizer, image: torch.Tensor, name: str, instruments: Instruments, protocol: Protocol
) -> dict[str, torch.Tensor]:
    image = rounded(image.cpu())
    key = hashlib.sha256(f"an attacker's own key for {name}".encode()).digest()
    subject = Subject(anonymizer, image, protocol.seed)
    pictures = {
        "before": image,
        "after": rounded(subject.make(key, protocol.main_area).cpu()),
        "surroundings": rounded(surroundings(image, subject.mask(protocol.main_area).cpu())),
    }
    return {
        f"{kind}/{recognizer}": embedding
        for kind, picture in pictures.items()
        for recognizer, embedding in instruments.embed(picture).items()
    }
