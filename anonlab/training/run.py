"""`python -m anonlab train`: one call from nothing to weights with a card."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .. import encoder, weights
from ..errors import UnknownOption
from ..generators import load_generator, require_preview
from ..generators.openvino_runtime import cpu_precisions
from ..identities import Population
from ..landmarks import load_landmarks
from ..perception_network import load_perception_network
from ..perceptual import load_stlpips
from ..photos import atomic_path, output_folder
from ..pipeline import pick_device
from ..plots import training_figure
from ..provenance import commit
from ..recognizers import load_recognizer
from .encoder import EncoderTask
from .export import export
from .glasses import GlassesTask, Labels
from .landmarks import LandmarkTask
from .loop import Plan, Task, train
from .perception import PerceptionTask
from .photos import load_photos
from .synthetic import CHUNK, Samples, join, load_samples

SIZES = {
    "base": encoder.EncoderConfig(),
    # for a CPU: a ninth of the work
    "small": encoder.EncoderConfig(
        resolution=128, channels=(32, 64, 128, 256), width=256, layers=3, heads=4
    ),
}


@dataclass(frozen=True)
class Network:
    """Something that can be trained, with the plan that made the weights that ship."""

    plan: Plan
    samples: int
    latent_share: float = 0.0
    quick: bool = False  # many samples: maps by the perception network, pictures in bf16 where possible


NETWORKS = {
    "encoder": Network(
        Plan(steps=16000, batch=48, warm_up=500, validate_every=2000),
        12000,
        latent_share=0.25,
        quick=True,
    ),
    "glasses": Network(
        Plan(steps=2000, batch=32, learning_rate=1e-3, ema=0.995, validate_every=500),
        0,  # as many as its labels reach
        quick=True,
    ),
    "landmarks": Network(
        Plan(steps=2500, batch=32, learning_rate=1e-3, ema=0.995, validate_every=500), 2500
    ),
    "perception": Network(
        Plan(steps=2000, batch=24, learning_rate=1e-3, ema=0.995, validate_every=500), 2500
    ),
}


def run(
    what: str,
    out: Path,
    device: str = "auto",
    generator: str = "mobile",
    generator_weights: Path | None = None,
    size: str = "base",
    samples: int | None = None,
    photos: Path | None = None,
    latent_share: float | None = None,
    resume: bool = False,
    minutes: float | None = None,
    ship: bool = False,
    progress: bool = False,
    **changes: object,
) -> dict | None:
    """Train a network of `NETWORKS` and write weights, card, log and curves to `out`.

    `generator` and `generator_weights` are name and file for `load_generator`, `changes` fields of
    `Plan`. Returns the card, or None when `minutes` were up first (go on with `resume`). With
    `ship` weights and card also go where anonlab loads them from. Raises `UnknownOption`,
    `DeviceUnavailable`, `TrainingDiverged`, `OutputNotWritable`, or what `load_generator` does.
    """
    if what not in NETWORKS:
        raise UnknownOption(f"{what!r} cannot be trained; choose from: {', '.join(NETWORKS)}")
    if size not in SIZES:
        raise UnknownOption(f"size {size!r} does not exist; choose from: {', '.join(SIZES)}")
    if what == "glasses" and (generator != "mobile" or (samples or CHUNK) < CHUNK):
        raise UnknownOption(
            f"the labels of glasses are of faces of the generator mobile, by {CHUNK}: choose that "
            f"generator, and at least so many samples"
        )
    network = NETWORKS[what]
    plan = replace(network.plan, **{name: value for name, value in changes.items() if value is not None})
    plan = replace(plan, warm_up=min(plan.warm_up, plan.steps // 10))
    chosen, started_at = pick_device(device), commit()
    output_folder(out)
    made = require_preview(load_generator(generator, generator_weights, chosen))
    guide = load_recognizer(device=chosen)
    crowd = Population.load()
    maps = None
    if network.quick:
        maps = load_perception_network(chosen)
        if getattr(made, "backend", "") == "openvino" and "bf16" in cpu_precisions():
            made.precision = "bf16"  # a third faster; what differs does not matter to learners
    count = samples or network.samples or Labels.load().count()
    known = load_samples(made, guide, crowd, count, progress=progress, network=maps)
    if photos:
        known = join([known, load_photos(photos, made, guide, crowd, progress)])
    share = network.latent_share if latent_share is None else latent_share
    task, metadata = _task(what, known, made, guide, SIZES[size], share, plan.seed, progress)
    trained = train(task, plan, out, resume, minutes, progress)
    with atomic_path(out / "curves.png") as partial:
        training_figure(trained.log, trained.validation).savefig(partial, format="png", dpi=110)
    if not trained.finished:
        print(f"the time is up at step {trained.step} of {plan.steps}; go on with --resume")
        return None
    name = f"encoder-{made.name}" if what == "encoder" else what
    targets = [out] + ([weights.data_folder()] if ship else [])
    for folder in targets:
        card = export(
            trained,
            plan,
            folder / f"{name}.safetensors",
            command=shlex.join(["python", "-m", "anonlab", *sys.argv[1:]]),
            metadata=metadata,
            commit=started_at,
            samples=len(known),
            generator=made.name,
        )
    return card


def _task(
    what: str, known: Samples, made, guide, config, share: float, seed: int, progress: bool
) -> tuple[Task, dict[str, str]]:
    if what == "landmarks":
        return LandmarkTask(known, seed), {"anonlab": "landmarks"}
    if what == "glasses":
        return GlassesTask(known, Labels.load(), seed=seed, progress=progress), {"anonlab": "glasses"}
    if what == "perception":
        return PerceptionTask(known, guide, seed=seed), {"anonlab": "perception"}
    device = made.w_avg.device
    config = replace(config, generator=made.name, num_ws=made.num_ws, w_dim=made.w_dim)
    config = replace(config, recognizer=guide.name, identity_dim=guide.dim)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32: twice the speed, no visible difference
    task = EncoderTask(
        known,
        made,
        guide,
        load_stlpips(device),
        load_landmarks(device),
        Population.load(device),
        config,
        latent_share=share,
        seed=seed,
    )
    return task, encoder.metadata(config)
