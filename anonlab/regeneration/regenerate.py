"""Stages 2 and 3 on one aligned face: from photo, mask and identity to codes and pictures.

With a trained encoder the codes are one pass, which `polish` steps of optimisation may refine.
Without one they start at the linear first guess and are optimised in full, unless one pass of the
first guess is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ..encoding.encoder import Encoder
from ..encoding.first_guess import FirstGuess
from ..generators import Generator, require_preview
from ..identity.virtual import Identity
from ..images import resize
from ..recognizers import Recognizer, distance
from ..recognizers.perceptual import PerceptualDistance
from .compose import compose
from .optimize import SIZE, Fit, optimize_latents

TOLERANCE = 0.02  # of a distance that was asked for
HALVINGS = 7  # of the range of strengths, when the encoder searches for a distance
PUSH_STEPS = 12  # of optimisation, when the distance is still too small …
MARGINS = (0.05, 0.1, 0.2)  # … and how much more is asked for, round by round
# How far beyond the identity the first guess aims when nothing comes after it: ridge regression
# shrinks what it is asked for. On 14 generated faces 1.5 brings dlib's matches from 5 to 1 at
# ST-LPIPS 0.075 instead of 0.061; from 2 on faces break.
OVERSHOOT = 1.5


class Regenerator:
    """Pretrained parts of stages 2 and 3. `encoder` may be None; `one_pass` says whether the codes
    are then taken as the first guess has them (default: only an encoder's are).

    Raises `UnknownOption` for a generator whose pictures are too small.
    """

    def __init__(
        self,
        generator: Generator,
        recognizer: Recognizer,
        perceptual: PerceptualDistance,
        first_guess: FirstGuess,
        encoder: Encoder | None = None,
        fit: Fit = Fit(),
        one_pass: bool | None = None,
    ):
        require_preview(generator)
        self.generator, self.recognizer, self.perceptual = generator, recognizer, perceptual
        self.first_guess, self.encoder, self.fit = first_guess, encoder, fit
        self.one_pass = encoder is not None if one_pass is None else one_pass

    def codes(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        identity_at: Callable[[float], Identity],
        strength: float = 1.0,
        target_distance: float | None = None,
        polish: int | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> torch.Tensor:
        """Codes `ws (1, num_ws, w_dim)` for one aligned face `(1, 3, S, S)` and its mask.

        `identity_at(strength)` says who to be. With `target_distance` the strength, and then the
        codes, are searched until the composite is within 0.02 of it, as far as mask and generator
        allow. `polish` is the number of optimisation steps: by default none in one pass, else
        `fit.steps`.
        """
        image, mask = resize(image, 2 * SIZE), resize(mask, 2 * SIZE)
        rng = torch.Generator().manual_seed(seed)
        if target_distance is not None and self.one_pass:
            strength = self._search(image, mask, identity_at, target_distance)
        identity = identity_at(strength)
        steps = (0 if self.one_pass else self.fit.steps) if polish is None else polish
        ws = self.start(image, mask, identity)

        def optimize(ws: torch.Tensor, steps: int, aim: float | None) -> torch.Tensor:
            return optimize_latents(
                self.generator, self.recognizer, self.perceptual, image, mask, identity, ws,
                aim, replace(self.fit, steps=steps), rng, progress,
            )  # fmt: skip

        if steps:
            ws = optimize(ws, steps, target_distance)
        if target_distance is None:
            return ws
        for margin in MARGINS:
            if self.reached(ws, image, mask) >= target_distance - TOLERANCE / 2:
                break
            ws = optimize(ws, PUSH_STEPS, target_distance + margin)
        return self._settle(self.start(image, mask, identity_at(0.0)), ws, image, mask, target_distance)

    @torch.no_grad()
    def start(self, image: torch.Tensor, mask: torch.Tensor, identity: Identity) -> torch.Tensor:
        """Codes `(1, num_ws, w_dim)` in one pass: the encoder's, or the linear first guess."""
        if self.encoder is not None:
            return self.encoder(image, mask, identity.target)
        target = identity.target
        if self.one_pass:
            source = self.recognizer.embed(image)
            target = source + OVERSHOOT * (target - source)
        return self.generator.broadcast(self.first_guess(image, target))

    @torch.no_grad()
    def pictures(
        self, ws: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, resolution: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The generated face and the composite, both of the size of `image (1, 3, S, S)`."""
        made = self.generator.synthesis(ws, resolution).clamp(-1, 1)
        made = resize(made, image.shape[-1])
        return made, compose(made, image, mask)

    def reached(
        self, ws: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, resolution: int | None = None
    ) -> float:
        """The recogniser's distance between composite and photo."""
        _, composite = self.pictures(ws, image, mask, resolution)
        with torch.no_grad():
            both = self.recognizer.embed(torch.cat([composite, image]))
        return distance(self.recognizer, both[:1], both[1:]).item()

    def _search(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        identity_at: Callable[[float], Identity],
        wanted: float,
    ) -> float:
        """The strength at which one pass gives a composite of the distance `wanted`, by halving."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            ws = self.start(image, mask, identity_at(middle))
            if self.reached(ws, image, mask, SIZE) < wanted:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _settle(
        self,
        near: torch.Tensor,
        far: torch.Tensor,
        image: torch.Tensor,
        mask: torch.Tensor,
        wanted: float,
    ) -> torch.Tensor:
        """Codes on the line from `near` to `far` whose composite has the distance `wanted`."""
        share, low, high = 1.0, 0.0, 1.0
        for _ in range(HALVINGS):
            miss = self.reached(torch.lerp(near, far, share), image, mask) - wanted
            if abs(miss) <= TOLERANCE / 4 or (share == 1 and miss < 0):
                break
            low, high = (low, share) if miss > 0 else (share, high)
            share = (low + high) / 2
        return torch.lerp(near, far, share)
