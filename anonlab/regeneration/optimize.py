"""Stage 3 by latent optimisation: the slow reference for the trained encoder.

Find W+ codes whose picture continues the unmasked part of the photo and, seen together with it, is the
virtual identity and not the person (after Abdal et al. 2019, "Image2StyleGAN", with an identity term).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from ..generators import Generator
from ..identity.virtual import Identity
from ..images import FACE_SIZE, blurred, pasted, resize
from ..recognizers import Recognizer, distance, jittered
from ..recognizers.perceptual import PerceptualDistance

FEW_STEPS = 20
RING = 8.0  # width of the surroundings of the mask, in pixels of 256


@dataclass(frozen=True)
class LatentOptimConfig:
    """Step size and weights of the optimisation."""

    learning_rate: float = 0.05
    momentum: float = 0.9  # share of Adam's mean gradient that a step remembers
    pixels: float = 4.0  # mean absolute difference outside the mask, most of all around it
    colours: float = 1.0  # the same of 16×16 means over the whole face
    perceptual: float = 3.0  # ST-LPIPS between photo and composite
    identity: float = 1.0  # what the cosine to the virtual identity lacks of `goal`
    goal: float = 0.75  # more is not more private, only less like a face
    source: float = 1.0  # cosine to the person, where it exceeds the identity's own
    distance: float = 4.0  # miss of `target_distance`
    spread: float = 0.05  # mean squared difference of the rows of W+, in standard deviations
    prior: float = 0.012  # mean squared distance from w_avg, in standard deviations

    @classmethod
    def for_steps(cls, steps: int) -> LatentOptimConfig:
        """Choose what suits so many steps; up to 20 are a finish for codes that are good already."""
        return cls(momentum=0.6, perceptual=5.0) if steps <= FEW_STEPS else cls()


def optimize_latents(
    generator: Generator,
    recognizer: Recognizer,
    perceptual: PerceptualDistance,
    image: torch.Tensor,
    mask: torch.Tensor,
    identity: Identity,
    start: torch.Tensor,
    steps: int,
    target_distance: float | None = None,
    config: LatentOptimConfig | None = None,
    rng: torch.Generator | None = None,
    progress: bool = False,
    watch: Callable[[int, float, torch.Tensor], object] | None = None,
) -> torch.Tensor:
    """Optimise codes `ws (1, num_ws, w_dim)` for one aligned face.

    With `G` the generator, `x` the photo, `m` the mask, `c = x + m (G(ws) - x)` the composite, `e(·)`
    the direction of the embedding as seen from the group's mean, `t` the identity's, `s` the person's:

        ws   = w_avg + w_std · (common + extra)
        loss = 4 |G - x| (1 - m)(0.3 + 2.5 blur(m)) + |means of G - means of x|
             + 3 d(c, x) + d(G, x) + [0.75 - e(c)·t]₊ + [e(c)·s - [cos(t, s)]₊]₊
             + 0.05 num_ws |extra|² + 0.012 |common + extra|²  (+ 4 |distance - target_distance|)

    where bars are means over all numbers, `d` is ST-LPIPS and `[·]₊` cuts at zero. `config` has other
    weights, by default those that suit so many steps.

    `image (1, 3, S, S)` in [-1, 1]; `mask (1, 1, S, S)`, 1 = to be regenerated; `start
    (1, num_ws, w_dim)` where to begin, and how many `steps` of Adam. With `target_distance` the
    recogniser's distance to the person is held at that value, on the way to the identity. `rng` jitters
    what the recogniser sees, so that the result does not depend on one exact crop. `watch` is told every
    step's number, loss and picture `(1, 3, 256, 256)`, before the step is taken.
    """
    image, mask = resize(image, FACE_SIZE), resize(mask, FACE_SIZE)
    config = config or LatentOptimConfig.for_steps(steps)
    rng = rng or torch.Generator().manual_seed(0)
    origin = identity.origin
    unit = F.normalize(identity.target - origin, dim=1)
    with torch.no_grad():
        source_embedding = recognizer.embed(image)
        source = F.normalize(source_embedding - origin, dim=1)
        photo_features = perceptual.features(image)
    # (1, 1, 256, 256): outside the mask, five times as much at its edge, where the blurred mask is a
    # half, as far away, because a seam would show there
    where = (1 - mask) * (0.3 + 2.5 * blurred(mask, RING))
    # A distance that was asked for is held; the push beyond it would pull the other way. A tenth of it
    # still says in which direction the distance is to be found.
    push = 1.0 if target_distance is None else 0.1
    w_avg, w_std = generator.w_avg, generator.w_std
    # Everything is in standard deviations of w: one row for all layers, and what each adds to it.
    rows = ((start - w_avg) / w_std).detach()  # (1, num_ws, w_dim)
    common = rows.mean(1, keepdim=True)  # (1, 1, w_dim): W, where the generator is at its best
    extra = rows - common  # (1, num_ws, w_dim): what W+ adds, held small by `spread`
    common.requires_grad_(True)
    extra.requires_grad_(True)
    betas = config.momentum, 0.95
    optimizer = torch.optim.Adam([common, extra], lr=config.learning_rate, betas=betas)
    bar = tqdm(range(steps), desc="regenerate", unit="step", disable=not progress, leave=False)
    for step in bar:
        rate = config.learning_rate * _ramp(step / steps)
        optimizer.param_groups[0]["lr"] = rate
        generated = generator.synthesis(w_avg + w_std * (common + extra), FACE_SIZE)  # (1, 3, 256, 256)
        composite = pasted(image, generated, mask)
        embedding = recognizer.embed(jittered(composite, rng))
        direction = F.normalize(embedding - origin, dim=1)  # (1, dim)
        to_target, to_source = (direction * unit).sum(), (direction * source).sum()
        loss = (
            config.pixels * ((generated - image).abs() * where).mean()
            + config.colours * (F.avg_pool2d(generated, 16) - F.avg_pool2d(image, 16)).abs().mean()
            + config.perceptual
            * perceptual.compare(perceptual.features(composite), photo_features).sum()
            # a third of it for the picture behind the mask, so that it stays a face of this photo
            + config.perceptual
            / 3
            * perceptual.compare(perceptual.features(generated), photo_features).sum()
            + push * config.identity * (config.goal - to_target).clamp_min(0)
            + push * config.source * (to_source - max(identity.cosine, 0.0)).clamp_min(0)
            # the sum over rows: a generator with more of them is held as tightly
            + config.spread * extra.square().mean() * generator.num_ws
            + config.prior * (common + extra).square().mean()
        )
        if target_distance is not None:
            miss = distance(recognizer, embedding, source_embedding) - target_distance
            loss = loss + config.distance * miss.abs().sum()
        if watch is not None:
            watch(step, loss.item(), generated.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", source=f"{to_source.item():.2f}")
    return (w_avg + w_std * (common + extra)).detach()


def _ramp(t: float) -> float:
    """Give the learning rate over time: up in the first tenth, a cosine down in the last half."""
    if t < 0.1:
        return (t + 0.02) / 0.12
    return 1.0 if t < 0.5 else 0.5 * (1 + torch.cos(torch.tensor((t - 0.5) * 2 * torch.pi)).item())
