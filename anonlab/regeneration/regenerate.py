"""Stages 2 and 3 on one aligned face: from photo, mask and identity to codes and pictures.

Codes come from a start (`anonlab.encoding.start`) and some steps of latent optimisation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..controls import Controls
from ..device import all_cores
from ..encoding.start import Start
from ..generators import Generator, require_preview
from ..identity.virtual import IdentityPath
from ..images import FACE_SIZE, resize
from ..perception.networks import LandmarkNetwork
from ..recognizers import Recognizer, distance
from ..recognizers.perceptual import PerceptualDistance
from ..watch import Watch, quiet
from .compose import colour_shift, join, measure_blend
from .needed import needed_mask
from .optimize import LatentOptimConfig, optimize_latents

REFINE_STEPS = 60  # of the method optimize
TOLERANCE = 0.02  # of a distance that was asked for
HALVINGS = 7  # of the range of strengths, when one pass searches for a distance
PUSH_STEPS = 12  # of optimisation, when the distance is still too small …
MARGINS = (0.05, 0.1, 0.2)  # … and how much more is asked for, round by round
OPTIMISING = threading.Lock()  # one at a time: it takes 1 GB and keeps all cores busy


@dataclass(frozen=True)
class Regenerator:
    """The parts of stages 2 and 3. `refine_steps` is how many follow on the start by default.

    Raises `UnknownOption` for a generator whose pictures are too small.
    """

    generator: Generator
    recognizer: Recognizer
    perceptual: PerceptualDistance
    start: Start
    landmarks: LandmarkNetwork  # shape and eyes become the photo's by its points
    refine_steps: int = 0
    config: LatentOptimConfig | None = None  # of an optimisation, by default what suits its steps

    def __post_init__(self) -> None:
        require_preview(self.generator)

    def codes(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        path: IdentityPath,
        controls: Controls = Controls(),
        watch: Watch = quiet,
        overshoot: float = 1.0,
    ) -> torch.Tensor:
        """Find codes `ws (1, num_ws, w_dim)` for one aligned face `(1, 3, S, S)` and its mask.

        `path` holds the identity of each strength. With `target_distance` the strength, and then the
        codes, are searched until the composite is within 0.02 of it, as far as mask and generator
        allow. `watch` is told how far an optimisation is. The start aims `overshoot` times
        as far from the person as the identity is.
        """
        image, mask = resize(image, 2 * FACE_SIZE), resize(mask, 2 * FACE_SIZE)
        wanted, strength = controls.target_distance, controls.strength
        steps = self.refine_steps if controls.refine_steps is None else controls.refine_steps
        rng = torch.Generator().manual_seed(controls.seed)

        def reached(ws: torch.Tensor, resolution: int | None = None) -> float:
            return self.reached(ws, image, mask, resolution, controls)

        def start(aim: torch.Tensor) -> torch.Tensor:
            return self.start(image, mask, path.source, aim)

        def optimize(ws: torch.Tensor, steps: int, distance: float | None) -> torch.Tensor:
            with OPTIMISING, all_cores():
                return optimize_latents(
                    self.generator, self.recognizer, self.perceptual, image, mask, identity, ws,
                    steps, distance, self.config, rng,
                    watch=lambda step, *_: watch("refining the new face", 0.3 + 0.5 * step / steps),
                )  # fmt: skip

        if wanted is not None and not self.refine_steps:
            strength = _search(lambda strength: reached(start(path.aim(strength)), FACE_SIZE), wanted)
        identity = replace(path.at(strength), target=path.aim(strength))
        ws = start(torch.lerp(path.source, identity.target, overshoot))
        if steps:
            ws = optimize(ws, steps, wanted)
        if wanted is None:
            return ws
        for margin in MARGINS:
            if reached(ws) >= wanted - TOLERANCE / 2:
                break
            ws = optimize(ws, PUSH_STEPS, wanted + margin)
        near = start(path.source)
        return torch.lerp(near, ws, _settle(lambda share: reached(torch.lerp(near, ws, share)), wanted))

    @torch.no_grad()
    def pictures(
        self,
        ws: torch.Tensor,
        image: torch.Tensor,
        mask: torch.Tensor,
        resolution: int | None = None,
        controls: Controls = Controls(),
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw the generated face and the composite with `image (1, 3, S, S)`, at `resolution`, by
        default the least that the generator has for S; and return the part of the `mask (1, 1, S, S)`
        that is new in it, all of it unless `controls` ask to `give_back` some, see `needed_mask`."""
        enough = (size for size in self.generator.resolutions if size >= image.shape[-1])
        resolution = resolution or min(enough, default=None)
        generated = self.generator.synthesis(ws, resolution).clamp(-1, 1)
        generated = resize(generated, image.shape[-1])
        points, new_points = self.landmarks(image), self.landmarks(generated)
        blend, ready = measure_blend(generated, image, mask, new_points, points, controls)
        composite = join(blend, ready, image, mask)
        part = needed_mask(self.recognizer, image, composite, mask, points, controls)
        if part is not mask:
            seen = 1 - blend.stays
            blend = replace(blend, shift=colour_shift(ready, image, part * seen, seen, points))
            composite = join(blend, ready, image, part)
        return generated, composite, part

    @torch.no_grad()
    def reached(
        self,
        ws: torch.Tensor,
        image: torch.Tensor,
        mask: torch.Tensor,
        resolution: int | None = None,
        controls: Controls = Controls(),
    ) -> float:
        """Measure the recogniser's distance between composite and photo; arguments as of `pictures`."""
        _, composite, _ = self.pictures(ws, image, mask, resolution, controls)
        both = self.recognizer.embed(torch.cat([composite, image]))
        return distance(self.recognizer, both[:1], both[1:]).item()


def _search(reached: Callable[[float], float], wanted: float) -> float:
    """Find by halving the strength in [0, 1] at which the rising `reached` is `wanted`."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < wanted else (low, middle)
    return (low + high) / 2


def _settle(reached: Callable[[float], float], wanted: float) -> float:
    """Find the share of a way in [0, 1] at which `reached` is `wanted` closely enough, or all of it."""
    share, low, high = 1.0, 0.0, 1.0
    for _ in range(HALVINGS):
        miss = reached(share) - wanted
        if abs(miss) <= TOLERANCE / 4 or (share == 1 and miss < 0):
            break
        low, high = (low, share) if miss > 0 else (share, high)
        share = (low + high) / 2
    return share
