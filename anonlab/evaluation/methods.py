"""What is done to every face: the peers, and anonlab over its range of controls."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..controls import Controls
from ..errors import UnknownOption
from ..perception.masks import build_mask
from ..pipeline import Anonymizer

SIZE = 512  # pixels of the aligned faces that are made and judged
ORIGINAL, OTHER_PHOTO = "original", "another photo"


@dataclass(frozen=True)
class Protocol:
    """What a number depends on, besides people, judges and weights."""

    areas: tuple[float, ...] = (0.1, 0.15, 0.25, 0.4, 0.55)
    main_area: float = 0.25  # where the other controls are turned, and of the identity mask
    strengths: tuple[float, ...] = (0.25, 0.5)
    target_distances: tuple[float, ...] = (0.45, 0.6, 0.75)
    calibrated: int = 3  # people on whom target_distance is tried
    optimised: int = 10  # people on whom the latent optimisation is tried
    k: tuple[int, ...] = (5, 10)  # group sizes of k-same
    peers: bool = True  # the other ways to hide a face as well
    seed: int = 0  # of the virtual identities and of the key

    def __post_init__(self) -> None:
        if self.main_area not in self.areas:
            raise UnknownOption(
                f"the areas {self.areas} lack the main one; add {self.main_area}, or choose another"
            )

    @classmethod
    def default_only(cls, seed: int = 0) -> Protocol:
        """anonlab's defaults, and the attackers on them: a tenth of the time of everything."""
        return cls(
            (cls.main_area,), strengths=(), calibrated=0, optimised=0, k=(), peers=False, seed=seed
        )

    @property
    def main(self) -> str:
        """The method that stands for anonlab in a sentence."""
        return ours(self.main_area)

    def key(self, attacker: bool = False) -> bytes:
        """A secret for measuring only: the user's, or the one an attacker draws for himself."""
        return f"{'attacker' if attacker else 'user'} {self.seed}: for measuring only".encode()


def ours(area: float, strength: float = 1.0) -> str:
    """The name of anonlab's one pass at these controls."""
    return f"anonlab {area:g}" + (f" strength {strength:g}" if strength != 1 else "")


OPTIMISED = "anonlab optimised"


class Subject:
    """One aligned face, looked at once, with all that anonlab can make of it."""

    def __init__(self, anonymizer: Anonymizer, image: torch.Tensor, seed: int):
        self.anonymizer, self.image, self.seed = anonymizer, image.to(anonymizer.device), seed
        self.face = anonymizer.look(self.image)
        self.attribution = anonymizer.perception(self.image)

    def mask(self, area: float) -> torch.Tensor:
        """`(1, 1, SIZE, SIZE)`, 1 = regenerated."""
        return build_mask(self.attribution, Controls(mask_area=area), None, SIZE)

    def make(
        self, key: bytes, area: float, anonymizer: Anonymizer | None = None, **controls
    ) -> torch.Tensor:
        """The composite `(1, 3, SIZE, SIZE)` at these controls, without a second attempt."""
        chosen = Controls(mask_area=area, seed=self.seed, **controls)
        tool = (anonymizer or self.anonymizer).replace(key=key)
        _, _, composite = tool.regenerate(self.face, self.mask(area), chosen)
        return composite


def our_methods(subject: Subject, protocol: Protocol) -> dict[str, torch.Tensor]:
    """anonlab in one pass over areas and strengths, by name."""
    key = protocol.key()
    made = {ours(area): subject.make(key, area) for area in protocol.areas}
    for strength in protocol.strengths:
        name = ours(protocol.main_area, strength)
        made[name] = subject.make(key, protocol.main_area, strength=strength)
    return made
