"""How everything that is trained is trained: losses and identities of the encoder, its sizes, samples,
steps and learning rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..encoding.encoder import EncoderConfig
from .loop import TrainConfig


@dataclass(frozen=True)
class LossWeights:
    """Weigh each term of the encoder's loss; 0 switches it off."""

    pixels: float = 1.0  # mean absolute difference outside the mask
    colours: float = 0.5  # the same of 16×16 means over the whole face
    perceptual: float = 2.0  # ST-LPIPS between photo and generated face, own identity
    composite: float = 3.0  # ST-LPIPS between photo and composite
    identity: float = 0.35  # 1 - cosine of the generated face to the wanted identity
    fooling: float = 0.7  # the same of the composite, as far as it is below `goal`
    source: float = 1.0  # cosine of the composite to the person, above what the wanted one has
    expression: float = 1.0  # 68 points, and twice how far mouth and eyes are open
    seam: float = 1.0  # absolute difference in a ring around the mask
    skin: float = 0.5  # colours of cheeks and forehead
    eyes: float = 0.5  # colours in and around the irises
    glasses: float = 0.2  # worn or not, as the readout sees them in the photo
    latent: float = 0.1  # distance to the true codes, own identity, in standard deviations
    prior: float = 0.003  # squared distance from w_avg, in standard deviations
    spread: float = 0.02  # squared difference between the rows of W+
    goal: float = 0.85  # cosine that is enough


@dataclass(frozen=True)
class Mix:
    """Say how often which identity is asked for; the rest is a blend of own and virtual."""

    own: float = 0.35
    other: float = 0.15  # that of another sample
    virtual: float = 0.35


@dataclass(frozen=True)
class Recipe:
    """Say how weights are made."""

    plan: TrainConfig
    samples: int
    codes_only: float = 0.0  # share of the encoder's steps, the first, in which nothing is drawn
    quick: bool = False  # many samples: maps by the perception network, pictures in bf16 where possible


SIZES = {
    "medium": EncoderConfig(),
    # for a CPU: less than half of the work
    "small": EncoderConfig(resolution=128, channels=(32, 64, 128, 256), width=256, layers=3, heads=4),
}
_SMALL = TrainConfig(steps=2000, batch=32, learning_rate=1e-3, ema=0.995, validate_every=500)
RECIPES = {  # the encoder's by its size
    "expression": Recipe(replace(_SMALL, batch=48), 5000, quick=True),
    "glasses": Recipe(_SMALL, 0, quick=True),  # as many samples as its labels reach
    "landmarks": Recipe(replace(_SMALL, steps=2500), 2500),
    "perception": Recipe(replace(_SMALL, batch=24), 2500),
    "rims": Recipe(replace(_SMALL, batch=16), 1000, quick=True),
    "correction": Recipe(TrainConfig(), 5000, quick=True),  # no steps: it is fitted at once
    "medium": Recipe(  # as many steps that draw as the encoder that ships had
        TrainConfig(steps=1600, batch=96, learning_rate=4e-4, ema=0.998, validate_every=1000),
        16000, 0.25, quick=True,
    ),
    "small": Recipe(
        TrainConfig(steps=2600, batch=8, learning_rate=1.5e-4, validate_every=400, save_every=100),
        13000, 0.25, quick=True,
    ),
}  # fmt: skip
