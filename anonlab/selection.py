"""Who in a photo is anonymized: by number, or by photos of people to leave alone or to look for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .controls import FACES
from .errors import UnknownOption
from .photo.faces import Face
from .recognizers import Recognizer, distance

# A person who was to be hidden and stays is worse than one who was to stay and is hidden. So who is
# to be left alone must be near to the given photo, and who is to be hidden need not be: in shares of
# the recogniser's threshold.
SURELY, PERHAPS = 0.85, 1.1


@dataclass(frozen=True)
class Selection:
    """Which faces: `all`, `largest` or numbers (1 is the largest), and of these not those of the people
    `leave (N, dim)`, or only those of the people `only (N, dim)`. Raises `UnknownOption`."""

    faces: str | Sequence[int] = "all"
    leave: torch.Tensor | None = None
    only: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if isinstance(self.faces, str) and self.faces not in FACES:
            raise UnknownOption(f"faces {self.faces!r} does not exist; choose from: {', '.join(FACES)}")

    def numbers(self, found: Sequence[Face], name: str) -> list[int]:
        """Numbers of the faces that are chosen by number. Raises `UnknownOption` for one that no face
        has."""
        everybody = list(range(1, len(found) + 1))
        if self.faces == "all":
            return everybody
        numbers = [1] if self.faces == "largest" else sorted(set(self.faces))
        missing = [str(number) for number in numbers if number not in everybody]
        if missing or not numbers:
            raise UnknownOption(
                f"{name} shows {len(found)} face{'s' * (len(found) != 1)}, and none with the number "
                f"{', '.join(missing) or '(no number given)'}; the largest has 1"
            )
        return numbers

    def leaves(self, recognizer: Recognizer, embedding: torch.Tensor) -> bool:
        """Whether the person with `embedding (1, dim)` is left alone."""
        if self.leave is not None and _nearest(recognizer, embedding, self.leave) < SURELY:
            return True
        return self.only is not None and _nearest(recognizer, embedding, self.only) >= PERHAPS


def _nearest(recognizer: Recognizer, embedding: torch.Tensor, people: torch.Tensor) -> float:
    """Distance to the nearest of `people (N, dim)`, in thresholds."""
    return distance(recognizer, embedding, people).min().item() / recognizer.threshold
