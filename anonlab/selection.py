"""Choose a photo's faces to anonymize: by number, or by photos of people to leave or to look for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from .checking import MAX_TURN, embed_face
from .controls import FACES
from .errors import NoFaceFound, UnknownOption, check_choice
from .identity.population import Population
from .photo.faces import JUDGED, Face
from .photo.photos import Photo
from .recognizers import Recognizer, distance
from .results import LeftFace

# Leaving a person that should be hidden is worse than hiding one that should stay. Hence a strict rule
# for `leave` and a loose threshold for `only`, a multiple of the recogniser's.
PERHAPS = 1.1
# A recogniser's distances are smaller within some groups of people than within others. So the distance
# to a reference is divided by the distances of both faces to their nearest COHORT population members.
COHORT = 5
STAYS = 0.75  # below it are no two people of 179,881 pairs (London, LFW), and .52 of LFW's 590 of one


@dataclass(frozen=True)
class Selection:
    """Which faces: `all`, `largest` or numbers (1 is the largest), and of these not those of the people
    `leave (N, dim)`, or only those of the people `only (N, dim)`. Raises `UnknownOption`."""

    faces: str | Sequence[int] = "all"
    leave: torch.Tensor | None = None
    only: torch.Tensor | None = None
    names: Sequence[str] = ()  # of the photos of `leave`, for the record

    def name(self, reference: int | None) -> str | None:
        """Name the photo of a person to leave alone; None for none."""
        if reference is None:
            return None
        return self.names[reference] if self.names else f"person {reference + 1}"

    def __post_init__(self) -> None:
        if isinstance(self.faces, str):
            check_choice("faces", self.faces, FACES)

    def numbers(self, detected: Sequence[Face], name: str) -> list[int]:
        """List the faces that are chosen by number. Raises `UnknownOption` for one that no face has."""
        every = list(range(1, len(detected) + 1))
        if self.faces == "all":
            return every
        numbers = [1] if self.faces == "largest" else sorted({int(number) for number in self.faces})
        missing = [str(number) for number in numbers if number not in every]
        if missing or not numbers:
            raise UnknownOption(
                f"{name} shows {len(detected)} face{'s' * (len(detected) != 1)}, and none with the "
                f"number {', '.join(missing) or '(no number given)'}; the largest has 1"
            )
        return numbers

    def left(
        self, recognizer: Recognizer, population: Population, embeddings: torch.Tensor
    ) -> dict[int, tuple[int | None, float]]:
        """Choose which of a photo's faces `embeddings (N, dim)` are left alone.

        Returns, for the index of each such face, the index of its reference in `leave` (None for a face
        that `only` does not name) and the measured nearness, below `STAYS`. A reference leaves one face
        at most, the nearest; references that the recogniser takes for one person count as one.
        """
        stay: dict[int, tuple[int | None, float]] = {}
        if self.only is not None:
            away = _distances(recognizer, embeddings, self.only).min(1).values / recognizer.threshold
            stay = {
                index: (None, share) for index, share in enumerate(away.tolist()) if share >= PERHAPS
            }
        if self.leave is None:
            return stay
        near = nearness(recognizer, population, embeddings, self.leave)
        one_person = _distances(recognizer, self.leave, self.leave) < recognizer.threshold
        free = torch.ones(len(self.leave), dtype=torch.bool, device=near.device)
        for at in near.flatten().argsort().tolist():
            index, reference = divmod(at, len(self.leave))
            if near[index, reference] >= STAYS:
                break
            if free[reference] and (index not in stay or stay[index][0] is None):
                stay[index] = (reference, near[index, reference].item())
                free &= ~one_person[reference]
        return stay


def left_faces(
    selection: Selection,
    recognizer: Recognizer,
    population: Population,
    photo: Photo,
    faces: Mapping[int, Face],
) -> list[LeftFace]:
    """Find the `faces` of a photo, by number, that a `selection` leaves alone for the person they show.

    Small, truncated and turned faces are not left: the person in them is uncertain.
    """
    if selection.leave is None and selection.only is None:
        return []
    embeddings = {}
    for number, face in faces.items():
        if face.turn <= MAX_TURN and face.area >= JUDGED**2:
            with contextlib.suppress(NoFaceFound):
                embeddings[number] = embed_face(recognizer, photo, face)
    if not embeddings:
        return []
    stay = selection.left(recognizer, population, torch.cat([*embeddings.values()]))
    numbers = [*embeddings]
    return [
        LeftFace(numbers[index], faces[numbers[index]].box, selection.name(reference), near)
        for index, (reference, near) in stay.items()
    ]


def nearness(
    recognizer: Recognizer, population: Population, faces: torch.Tensor, people: torch.Tensor
) -> torch.Tensor:
    """Measure how near `faces (N, dim)` are to `people (M, dim)`, as `(N, M)`: their distances, over the
    geometric mean of both faces' distances to their nearest people of the population as drawn."""

    def crowding(embeddings: torch.Tensor) -> torch.Tensor:
        away = _distances(recognizer, embeddings, population.as_drawn.to(embeddings))
        return away.topk(COHORT, largest=False).values.mean(1)

    scale = (crowding(faces)[:, None] * crowding(people)[None]).sqrt()
    return _distances(recognizer, faces, people) / scale


def _distances(recognizer: Recognizer, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute all distances between embeddings `(N, dim)` and `(M, dim)`, as `(N, M)`."""
    return distance(recognizer, a[:, None], b[None])
