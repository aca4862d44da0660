"""What is to be done with one track: numbers that can be kept in a file, and the codes of its frames.

At key frames codes are those of the start, which draws the face and corrects it by what its picture
lacks. Between two key frames codes follow what is read of the frames (68 points, colours, irises) by the
same regression, without a picture:

    ws = ws_k + C_wy (C_yy + R)⁻¹ (y - y_k)

`ws_k` and `y_k` are interpolated between the two. Key frames are chosen by their numbers and by where
the face was found, so that a frame comes out the same wherever a run begins.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ...checking import AREA_LIMIT, AREA_STEP, ATTEMPTS
from ...controls import Controls
from ...encoding.start import MAX_RMS, brightened
from ...errors import AnonlabError
from ...generators.base import truncate_to_rms
from ...images import FACE_SIZE, resize
from ...perception.masks import build_mask
from ...photo.faces import Face
from ...pipeline import Anonymizer
from ...recognizers import distance

FOUND, FILLED, BEYOND = 2, 1, 0  # how a face comes to be in a frame of a track
MARGIN = 0.03  # beyond the threshold: the crop that measures and encoding move the distance a little
KEY_EVERY = 24  # frames from one key frame to the next
# Readings that key frames alone ask for: they change slowly, and flicker with compression
SLOW = ("glasses", "facial_hair", "texture", "expression")
FACTORS = 8  # masks whose factors of 4 MB are kept


@dataclass
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
    needed: np.ndarray  # (1, 1, 256, 256), the part of that mask that is new; 0 for all of it
    resolution: int  # of the generator's pictures
    keys: np.ndarray  # (K,) numbers of its key frames
    codes: np.ndarray  # (K, num_ws, w_dim) of these, see `Follower`

    @property
    def last(self) -> int:
        """Give the number of its last frame."""
        return self.first + len(self.kind) - 1

    @property
    def aims(self) -> bool:
        """Tell whether there is an identity to aim at."""
        return not np.isnan(self.target).any()

    def found(self, number: int) -> bool:
        """Tell whether a detector saw it in a frame."""
        return self.first <= number <= self.last and self.kind[number - self.first] == FOUND

    def due(self, number: int, every: int) -> bool:
        """Tell whether a frame is one in so many, or the first or the last."""
        return number % every == 0 or number in (self.first, self.last)

    def face(self, number: int) -> Face:
        """Tell where it is in a frame."""
        at = number - self.first
        return Face(tuple(self.box[at].tolist()), self.points[at], 1.0)

    def mask(self, controls: Controls, area: float) -> torch.Tensor:
        """Build the mask `(1, 1, resolution, resolution)` of that area."""
        if area != controls.mask_area:
            controls = replace(controls, mask_area=area, mask_threshold=None)
        attribution, points = torch.from_numpy(self.attribution), torch.from_numpy(self.landmarks)
        return build_mask(attribution, controls, points, self.resolution)

    def new(self, mask: torch.Tensor, area: float) -> torch.Tensor:
        """Take the part of the `mask` of that area through which the new face is seen; all of it where
        nothing is given back, or the area is another than the track's."""
        if area != self.mask_area or not self.needed.any():
            return mask
        return mask.minimum(resize(torch.from_numpy(self.needed).to(mask), self.resolution))

    def areas(self) -> list[float]:
        """Give the mask's area, and larger ones for frames that need them."""
        more = [round(max(self.mask_area * AREA_STEP**step, 0.1), 3) for step in range(1, ATTEMPTS)]
        return [self.mask_area, *(area for area in more if self.mask_area < area <= AREA_LIMIT)]

    def start(self, anonymizer: Anonymizer, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Find codes `(1, num_ws, w_dim)` of one aligned frame `(1, 3, S, S)`, by the start."""
        mean, target = (torch.from_numpy(one)[None].to(image) for one in (self.mean, self.target))
        return anonymizer.regenerator.start(image, mask.to(image), mean, target)

    def distance(self, anonymizer: Anonymizer, embedding: torch.Tensor) -> float:
        """Measure from an embedding `(1, dim)` to the track's person; infinite if that is not known."""
        if np.isnan(self.mean).any():
            return np.inf
        mean = torch.from_numpy(self.mean)[None].to(embedding)
        return distance(anonymizer.recognizer, embedding, mean).item()


class Follower:
    """Find the codes `(1, num_ws, w_dim)` of any frame of a track, by its aligned face `image (1, 3, S,
    S)` and the track's mask. Where codes have no correction, all are those of the start."""

    def __init__(self, anonymizer: Anonymizer):
        self.anonymizer = anonymizer
        self.correction = getattr(anonymizer.regenerator.start, "correction", None)
        if self.correction:
            self.followed = self.correction.by_reading(dict.fromkeys(SLOW, 0.0))
            self.factor = lru_cache(FACTORS)(self.correction.factor)

    def key_frames(self, found: np.ndarray) -> np.ndarray:
        """Choose among the numbers `found (N,)` of frames: the first, the last, and the first in every
        `KEY_EVERY`."""
        if self.correction is None:
            return np.empty(0, int)
        return np.unique([found[0], found[-1], *found[1:][np.diff(found // KEY_EVERY) > 0]])

    @torch.no_grad()
    def key_codes(self, plan: TrackPlan, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
        """Find the codes of a key frame, less what its readings carry; None where the start fails."""
        ws = self._started(plan, image, mask)
        return None if ws is None else ws - self._carried(plan, image, mask)

    @torch.no_grad()
    def codes(
        self, plan: TrackPlan, number: int, image: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """Find the codes of the frame `number`; None where there are none."""
        if self.correction is None:
            return self._started(plan, image, mask)
        if not len(plan.keys):
            return None
        after = np.searchsorted(plan.keys, number).clip(0, len(plan.keys) - 1)
        before = max(after - 1, 0) if number < plan.keys[after] else after
        share = (number - plan.keys[before]) / max(1, plan.keys[after] - plan.keys[before])
        first, last = (torch.from_numpy(plan.codes[row])[None].to(image) for row in (before, after))
        ws, generator = first.lerp(last, share), self.anonymizer.generator
        ws = ws + self._carried(plan, image, mask)
        return truncate_to_rms(ws, generator.w_avg, generator.w_std, MAX_RMS)

    def _started(self, plan: TrackPlan, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
        if plan.aims:
            with contextlib.suppress(AnonlabError, RuntimeError):  # the frames around may have codes
                return plan.start(self.anonymizer, image, mask)
        return None

    def _carried(self, plan: TrackPlan, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute what the readings of a frame carry to the codes."""
        target = torch.from_numpy(plan.target)[None].to(image)  # the same in all frames
        seen = self.correction.read(brightened(resize(image, FACE_SIZE)), target)
        return self.correction.carry(self.followed * seen, self.factor(mask))
