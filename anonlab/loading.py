"""Which pretrained parts make an anonymizer, by the names that a user gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .controls import METHODS
from .device import pick_device
from .encoding.correction import load_correction
from .encoding.encoder import load_encoder
from .encoding.linear import LinearInitialization
from .encoding.start import AIM, OVERSHOOT, AverageStart, EncoderStart, LinearStart, Start
from .errors import UnknownOption
from .generators import Generator, load_generator
from .identity.population import Population
from .perception.glasses import load_glasses
from .perception.perception import Perception
from .photo.detection import Detector
from .recognizers import Recognizer, load_recognizer
from .recognizers.perceptual import load_stlpips
from .regeneration.regenerate import REFINE_STEPS, Regenerator
from .weights import store


def load_parts(
    generator: str,
    method: str,
    device: str,
    generator_path: str | os.PathLike | None,
    guides: Sequence[Recognizer],
) -> dict[str, Any]:
    """Detector, regenerator, population, perception and device, by these names, for an
    `anonlab.Anonymizer`; its `load` says what is what and what is raised."""
    if method not in METHODS:
        raise UnknownOption(f"method {method!r} does not exist; choose from: {', '.join(METHODS)}")
    chosen = pick_device(device)
    recognizer = load_recognizer("dlib", device=chosen)
    made = load_generator(generator, generator_path, chosen)
    population = Population.load(chosen)
    if method == "auto":
        method = "encode" if store.path_of(f"encoder-{made.name}").is_file() else "optimize"
    refine_steps = REFINE_STEPS if method == "optimize" else 0
    perception = Perception(recognizer, population, guides=guides)
    if method == "encode":
        encoder, correction = load_encoder(made, device=chosen), None
        if made.name == population.generator:
            networks = population, perception.landmarks, load_glasses(chosen)
            correction = load_correction(made, recognizer, *networks)
        start: Start = EncoderStart(encoder, correction, AIM)
    elif made.name == population.generator:
        beyond = OVERSHOOT if method == "one-pass" else 1.0
        start = LinearStart(LinearInitialization(made, population), beyond)
    elif method == "one-pass":
        raise UnknownOption(
            f"method one-pass is not for generator {made.name}, because the linear start knows only "
            f"{population.generator}; choose optimize, or train an encoder and choose encode"
        )
    else:
        start = AverageStart(made)
    regenerator = Regenerator(
        made, recognizer, load_stlpips(chosen), start, refine_steps,
        landmarks=perception.landmarks, guides=tuple(guides),
    )  # fmt: skip
    return {
        "detector": Detector(chosen),
        "regenerator": regenerator,
        "population": population,
        "perception": perception,
        "device": chosen,
    }


def natural_start(generator: Generator, population: Population) -> Start:
    """Where codes start for a generator that brings no encoder: the linear start if it made the
    population, else the average."""
    if generator.name == population.generator:
        return LinearStart(LinearInitialization(generator, population))
    return AverageStart(generator)
