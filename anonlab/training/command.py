"""`python -m anonlab train`: one call from nothing to weights with a card."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from ..device import pick_device
from ..encoding import encoder
from ..encoding.correction import Correction, Readers
from ..errors import UnknownOption
from ..files import atomic_path, output_folder
from ..generators import Generator, load_generator, require_preview
from ..identity.population import Population
from ..notebook.plots import training_figure
from ..notebook.provenance import commit
from ..perception.networks import load_perception_network
from ..recognizers import Recognizer, load_recognizer
from ..watch import Watch, quiet
from ..weights import store
from .correction import check_correction, fit_correction
from .encoder import EncoderTask
from .export import export, facts_of, ship_folder, write_tensors
from .labels import Labels, learn_facial_hair, learn_texture
from .loop import Task, train
from .networks import TASKS
from .recipes import RECIPES, SIZES, Recipe
from .synthetic import CHUNK, Samples, load_samples


def train_part(
    what: str,
    out: Path,
    device: str = "auto",
    generator: str = "mobile",
    generator_weights: Path | None = None,
    size: str = "medium",
    samples: int | None = None,
    start: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    ship: bool = False,
    watch: Watch = quiet,
    **changes: object,
) -> dict | None:
    """Train `what` ("encoder" of this `size`, "correction" or one of `TASKS`); weights, card, log and
    curves go to `out`.

    `generator` and `generator_weights` are name and file for `load_generator`, `changes` fields of
    `TrainConfig`. An encoder may `start` at the weights of a file. Returns the card, or None when
    `minutes` were up first (go on with `resume`). With `ship` weights and card also go where anonlab
    loads them from. Raises `UnknownOption`, `DeviceUnavailable`, `TrainingDiverged`,
    `OutputNotWritable`, or what `load_generator` and `load_encoder` do.
    """
    if what == "glasses" and (generator != "mobile" or (samples or CHUNK) < CHUNK):
        raise UnknownOption(
            f"the labels of glasses are of faces of the generator mobile, by {CHUNK}: choose that "
            f"generator, and at least so many samples"
        )
    folders = [out, *([ship_folder()] if ship else [])]  # refuses an installed copy at once
    began = time.monotonic()
    recipe = RECIPES[size if what == "encoder" else what]
    plan = replace(recipe.plan, **{name: value for name, value in changes.items() if value is not None})
    plan = replace(plan, warm_up=min(plan.warm_up, plan.steps // 10))
    chosen, facts = pick_device(device), {"commit": commit()}
    output_folder(out)
    made = require_preview(load_generator(generator, generator_weights, chosen))
    dlib, population = load_recognizer(device=chosen), Population.load(chosen)
    maps = load_perception_network(chosen) if recipe.quick else None
    made = made.rough() if maps else made  # a third faster; what differs does not matter to learners
    count = samples or recipe.samples or Labels.load().count()
    known = load_samples(made, dlib, population, count, watch=watch, network=maps)
    command = shlex.join(["python", "-m", "anonlab", *sys.argv[1:]])
    facts |= {"command": command, "samples": len(known), "generator": made.name}
    if what == "correction":
        return _correct(known, made, dlib, folders, facts)
    metadata = {"anonlab": what}
    if what in TASKS:
        task: Task = TASKS[what](known, plan.seed, watch)
    else:
        task = _encoder(known, made, dlib, population, size, recipe, plan.seed)
        metadata = encoder.metadata(task.model.config)
        if start is not None:
            task.model.load_state_dict(encoder.load_encoder(made, start, chosen).state_dict())
            facts["start"] = store.sha256(start)
    if minutes is not None:
        minutes = max(0.0, minutes - (time.monotonic() - began) / 60)
    trained = train(task, plan, out, resume, minutes, watch)
    with atomic_path(out / "curves.png") as partial:
        training_figure(trained.log, trained.validation).savefig(partial, format="png", dpi=110)
    if not trained.finished:
        print(f"the time is up at step {trained.step} of {plan.steps}; go on with --resume")
        write_tensors(trained.model.state_dict(), out / "so-far.safetensors", metadata)
        return None
    name = f"encoder-{made.name}" if what == "encoder" else what
    tensors, facts = trained.model.state_dict(), facts | facts_of(trained, plan)
    return export(tensors, name, folders, metadata, chosen, [plan.seed], **facts)


def _correct(
    known: Samples, made: Generator, guide: Recognizer, folders: list[Path], facts: dict
) -> dict:
    """Fit, check and write the correction; return its card."""
    began, device = time.monotonic(), made.w_avg.device
    readers = Readers.load(Population.load(device), device)
    hair = learn_facial_hair(known, Labels.load("facial_hair").among(len(known)))
    readouts = {"facial_hair": hair, "texture": learn_texture(known)}
    tensors = fit_correction(known, made, readers, readouts)
    metrics = check_correction(Correction(tensors, made, guide, readers), known, made, guide)
    minutes = round((time.monotonic() - began) / 60, 1)
    facts |= {"minutes": minutes, "images": len(known), "metrics": metrics}
    return export(tensors, "correction", folders, {"anonlab": "correction"}, device, **facts)


def _encoder(
    known: Samples, made: Generator, guide: Recognizer, people: Population, size: str, recipe: Recipe,
    seed: int,
) -> EncoderTask:  # fmt: skip
    device = made.w_avg.device
    config = replace(
        SIZES[size], generator=made.name, num_ws=made.num_ws, w_dim=made.w_dim, recognizer=guide.name,
        identity_dim=guide.dim,
    )  # fmt: skip
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32: twice the speed, no visible difference
    half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return EncoderTask(known, made, guide, people, config, recipe.codes_only, half, seed)
