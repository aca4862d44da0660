"""Stages 2 and 3 on one aligned face: from photo, mask and identity to codes and pictures.

Two things decide how codes are found: where they start (`anonlab.encoding.start`) and how many
steps of latent optimisation refine them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..controls import Controls
from ..encoding.start import Start
from ..generators import Generator, require_preview
from ..identity.virtual import IdentityPath
from ..images import resize
from ..perception.landmarks import LandmarkNetwork
from ..recognizers import Recognizer, distance
from ..recognizers.perceptual import PerceptualDistance
from .compose import apply_blend, compose, match_sharpness, measure_blend
from .optimize import SIZE, LatentOptimConfig, optimize_latents

REFINE_STEPS = 60  # of the method optimize
TOLERANCE = 0.02  # of a distance that was asked for
HALVINGS = 7  # of the range of strengths, when one pass searches for a distance
PUSH_STEPS = 12  # of optimisation, when the distance is still too small …
MARGINS = (0.05, 0.1, 0.2)  # … and how much more is asked for, round by round


@dataclass(frozen=True)
class Regenerator:
    """The parts of stages 2 and 3. `refine_steps` is how many follow on the start by default.

    Raises `UnknownOption` for a generator whose pictures are too small.
    """

    generator: Generator
    recognizer: Recognizer
    perceptual: PerceptualDistance
    start: Start
    refine_steps: int = 0
    config: LatentOptimConfig | None = None  # of an optimisation, by default what suits its steps
    landmarks: LandmarkNetwork | None = None  # with it, shape and eyes are the photo's
    guides: tuple[Recognizer, ...] = ()  # further ones that an optimisation moves away from

    def __post_init__(self) -> None:
        require_preview(self.generator)

    def codes(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        path: IdentityPath,
        controls: Controls = Controls(),
        progress: bool = False,
        watch: Callable[[float], None] = lambda _: None,
        further: float = 1.0,
    ) -> torch.Tensor:
        """Codes `ws (1, num_ws, w_dim)` for one aligned face `(1, 3, S, S)` and its mask.

        `path` says who to be at which strength. With `target_distance` the strength, and then the
        codes, are searched until the composite is within 0.02 of it, as far as mask and generator
        allow. `watch` is told which share of an optimisation is done. The start aims `further` times as
        far from the person as the identity is.
        """
        image, mask = resize(image, 2 * SIZE), resize(mask, 2 * SIZE)
        wanted, strength = controls.target_distance, controls.strength
        rng = torch.Generator().manual_seed(controls.seed)
        if wanted is not None and not self.refine_steps:
            strength = self._search(image, mask, path, wanted)
        identity = replace(path.at(strength), target=path.aim(strength))
        steps = self.refine_steps if controls.refine_steps is None else controls.refine_steps
        aim = torch.lerp(path.source, identity.target, further)
        ws = self.start(image, mask, path.source, aim)

        def optimize(ws: torch.Tensor, steps: int, distance: float | None) -> torch.Tensor:
            return optimize_latents(
                self.generator, self.recognizer, self.perceptual, image, mask, identity, ws,
                steps, distance, self.config, rng, progress, lambda step, *_: watch(step / steps),
                self.guides,
            )  # fmt: skip

        if steps:
            ws = optimize(ws, steps, wanted)
        if wanted is None:
            return ws
        for margin in MARGINS:
            if self.reached(ws, image, mask) >= wanted - TOLERANCE / 2:
                break
            ws = optimize(ws, PUSH_STEPS, wanted + margin)
        return self._settle(self.start(image, mask, path.source, path.source), ws, image, mask, wanted)

    @torch.no_grad()
    def pictures(
        self,
        ws: torch.Tensor,
        image: torch.Tensor,
        mask: torch.Tensor,
        resolution: int | None = None,
        own_eyes: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the generated face and the composite, both of the size of `image (1, 3, S, S)`, at
        `resolution`, by default the least that the generator has for S. With `own_eyes` what lies
        between the lids stays the photo's."""
        if resolution is None:
            enough = (one for one in self.generator.resolutions if one >= image.shape[-1])
            resolution = min(enough, default=None)
        made = self.generator.synthesis(ws, resolution).clamp(-1, 1)
        made = resize(made, image.shape[-1])
        if self.landmarks is None:
            return made, compose(match_sharpness(made, image, mask), image, mask)
        points, new_points = self.landmarks(image), self.landmarks(made)
        blend = measure_blend(made, image, mask, new_points, points, own_eyes)
        return made, apply_blend(blend, made, image, mask)

    def reached(
        self, ws: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, resolution: int | None = None
    ) -> float:
        """The recogniser's distance between composite and photo."""
        _, composite = self.pictures(ws, image, mask, resolution)
        with torch.no_grad():
            both = self.recognizer.embed(torch.cat([composite, image]))
        return distance(self.recognizer, both[:1], both[1:]).item()

    def _search(
        self, image: torch.Tensor, mask: torch.Tensor, path: IdentityPath, wanted: float
    ) -> float:
        """The strength at which one pass gives a composite of the distance `wanted`, by halving."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            ws = self.start(image, mask, path.source, path.aim(middle))
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
