"""What is to be done with one track: numbers that can be kept in a file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...checking import AREA_LIMIT, AREA_STEP, ATTEMPTS
from ...controls import Controls
from ...perception.masks import build_mask
from ...photo.faces import Face
from ...pipeline import Anonymizer
from ...recognizers import distance

FOUND, FILLED, BEYOND = 2, 1, 0  # how a face comes to be in a frame of a track
MARGIN = 0.03  # beyond the threshold: the crop that measures and encoding move the distance a little


@dataclass(frozen=True)
class TrackPlan:
    """One track, `T` frames long without a hole."""

    first: int  # number of its first frame
    kind: np.ndarray  # (T,) FOUND, FILLED or BEYOND
    box: np.ndarray  # (T, 4)
    points: np.ndarray  # (T, 5, 2), steady
    embedding: np.ndarray  # (T, dim) as found; NaN where there is none
    person: int  # 0 is the first of the clip
    mean: np.ndarray  # (dim,) embedding of the person; NaN where there is none
    target: np.ndarray  # (dim,) what is aimed at; NaN where nothing is known of the person
    attribution: np.ndarray  # (1, 1, 256, 256)
    landmarks: np.ndarray  # (1, 68, 2) of a good frame, for regions of the mask
    mask_area: float
    resolution: int  # of the generator's pictures
    keys: np.ndarray  # (K,) numbers of its key frames
    codes: np.ndarray  # (K, num_ws, w_dim) of these, see `Follower`

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return self.first + len(self.kind) - 1

    @property
    def aims(self) -> bool:
        """Whether there is an identity to aim at."""
        return not np.isnan(self.target).any()

    def found(self, number: int) -> bool:
        """Whether a detector saw it in a frame."""
        return self.first <= number <= self.last and self.kind[number - self.first] == FOUND

    def face(self, number: int) -> Face:
        """Where it is in a frame."""
        at = number - self.first
        return Face(tuple(self.box[at].tolist()), self.points[at], 1.0)

    def mask(self, controls: Controls, area: float) -> torch.Tensor:
        """The mask `(1, 1, resolution, resolution)` of that area."""
        if area != controls.mask_area:
            controls = replace(controls, mask_area=area, mask_threshold=None)
        attribution, points = torch.from_numpy(self.attribution), torch.from_numpy(self.landmarks)
        return build_mask(attribution, controls, points, self.resolution)

    def areas(self) -> list[float]:
        """The mask's area, and larger ones for frames that need them."""
        more = [round(max(self.mask_area * AREA_STEP**step, 0.1), 3) for step in range(1, ATTEMPTS)]
        return [self.mask_area, *(area for area in more if self.mask_area < area <= AREA_LIMIT)]

    def start(self, anonymizer: Anonymizer, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Codes `(1, num_ws, w_dim)` of one aligned frame `(1, 3, S, S)`, by the start."""
        mean, target = (torch.from_numpy(one)[None].to(image) for one in (self.mean, self.target))
        return anonymizer.regenerator.start(image, mask.to(image), mean, target)

    def distance(self, anonymizer: Anonymizer, embedding: torch.Tensor) -> float:
        """From an embedding `(1, dim)` to the track's person; infinite where that is not known."""
        if np.isnan(self.mean).any():
            return np.inf
        mean = torch.from_numpy(self.mean)[None].to(embedding)
        return distance(anonymizer.recognizer, embedding, mean).item()
