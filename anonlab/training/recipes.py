"""How everything that is trained is trained: sizes of the encoder, samples, steps and learning rates."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..encoding.encoder import EncoderConfig
from .loop import TrainConfig
from .weighting import Curriculum

SIZES = {
    "base": EncoderConfig(),
    # as much is seen, a quarter of the work
    "medium": EncoderConfig(channels=(32, 64, 160, 288), width=288, layers=4, heads=6),
    # for a CPU: a ninth of the work
    "small": EncoderConfig(resolution=128, channels=(32, 64, 128, 256), width=256, layers=3, heads=4),
}


@dataclass(frozen=True)
class Recipe:
    """How the weights that ship are made."""

    plan: TrainConfig
    samples: int
    curriculum: Curriculum = field(default_factory=Curriculum)  # of the encoder's steps
    warm_up: TrainConfig | None = None  # of the encoder on the surrogate, before the plan
    quick: bool = False  # many samples: maps by the perception network, pictures in bf16 where possible


NETWORKS = {
    "glasses": Recipe(
        TrainConfig(steps=2000, batch=32, learning_rate=1e-3, ema=0.995, validate_every=500),
        0,  # as many as its labels reach
        quick=True,
    ),
    "landmarks": Recipe(
        TrainConfig(steps=2500, batch=32, learning_rate=1e-3, ema=0.995, validate_every=500), 2500
    ),
    "perception": Recipe(
        TrainConfig(steps=2000, batch=24, learning_rate=1e-3, ema=0.995, validate_every=500), 2500
    ),
}
CORRECTION = Recipe(TrainConfig(), 14500, quick=True)  # no steps: it is fitted at once
ENCODERS = {
    # half an hour on a GPU
    "base": Recipe(
        TrainConfig(steps=16000, batch=48, warm_up=500, validate_every=2000),
        12000,
        curriculum=Curriculum(latent=0.25),
        quick=True,
    ),
    # ten minutes on a GPU: half a minute on the surrogate, then pictures of 128 px, at last of 256
    "medium": Recipe(
        TrainConfig(steps=2500, batch=96, learning_rate=4e-4, ema=0.998, validate_every=1000),
        16000,
        curriculum=Curriculum(fine=0.25),
        quick=True,
        warm_up=TrainConfig(steps=250, batch=128, learning_rate=5e-4, ema=0.99, validate_every=250),
    ),
    # two CPU cores: half an hour of samples, ten minutes on the surrogate, then pictures of 128 px
    "small": Recipe(
        TrainConfig(steps=2600, batch=8, learning_rate=1.5e-4, validate_every=400, save_every=100),
        13000,
        quick=True,
        warm_up=TrainConfig(steps=600, batch=32, learning_rate=4e-4, validate_every=300, save_every=100),
    ),
}
