"""Codes of one face in every frame of its track.

At key frames they are those of the start, which draws the face and corrects it by what its picture
lacks. Between two key frames codes follow what is read of the frames (68 points, colours, irises) by the
same regression, without a picture:

    ws = ws_k + C_wy (C_yy + R)⁻¹ (y - y_k)

`ws_k` and `y_k` are interpolated between the two. Key frames are chosen by their numbers and by where
the face was found, so that a frame comes out the same wherever a run begins.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from ...encoding.start import MAX_RMS, EncoderStart, brightened
from ...errors import AnonlabError
from ...generators.base import truncate_to_rms
from ...images import FACE_SIZE, resize
from ...pipeline import Anonymizer
from .plans import TrackPlan

KEY_EVERY = 24  # frames from one key frame to the next
# Readings that key frames alone ask for: they change slowly, and flicker with compression
SLOW = ("glasses", "facial_hair", "texture", "expression")
FACTORS = 8  # tracks whose factors of 4 MB are kept


class Follower:
    """Find the codes of any frame of tracks, by its aligned face `image (1, 3, S, S)`. Where codes have
    no correction, all are those of the start."""

    def __init__(self, anonymizer: Anonymizer):
        self.anonymizer = anonymizer
        start = anonymizer.regenerator.start
        self.correction = start.correction if isinstance(start, EncoderStart) else None
        if self.correction:
            self.followed = self.correction.by_reading(dict.fromkeys(SLOW, 0.0))
        self.factors: dict[int, torch.Tensor] = {}  # by plan

    def key_frames(self, found: np.ndarray) -> np.ndarray:
        """Choose among the numbers `found (N,)` of frames that show the face: the first and the last,
        and the first in every `KEY_EVERY`."""
        if self.correction is None:
            return np.empty(0, int)
        return np.unique([found[0], found[-1], *found[1:][np.diff(found // KEY_EVERY) > 0]])

    @torch.no_grad()
    def key_codes(self, plan: TrackPlan, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
        """Find the codes `(1, num_ws, w_dim)` of a key frame, less what its readings carry; None where
        the start fails."""
        ws = self._started(plan, image, mask)
        return None if ws is None else ws - self._carried(plan, image, mask)

    @torch.no_grad()
    def codes(
        self, plan: TrackPlan, number: int, image: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """Find the codes `(1, num_ws, w_dim)` of the frame `number`; None where there are none."""
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
        """What the readings of a frame carry to the codes."""
        factor = self.factors.get(id(plan))
        if factor is None:
            if len(self.factors) >= FACTORS:
                self.factors = {}  # other threads may use the old ones
            factor = self.factors[id(plan)] = self.correction.factor(mask)
        target = torch.from_numpy(plan.target)[None].to(image)  # the same in all frames
        seen = self.correction.read(brightened(resize(image, FACE_SIZE)), target)
        return self.correction.carry(self.followed * seen, factor)
