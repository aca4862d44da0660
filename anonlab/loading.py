"""Which pretrained parts make an anonymizer, by the names that a user gives."""

from __future__ import annotations

import os

from .controls import METHODS
from .device import pick_device
from .encoding.correction import Correction, Readers
from .encoding.encoder import load_encoder
from .encoding.linear import LinearInitialization
from .encoding.start import AIM, OVERSHOOT, EncoderStart, LinearStart, Start
from .errors import UnknownOption, check_choice
from .generators import load_generator
from .identity.population import Population
from .perception.perception import Perception
from .photo.detection import Detector
from .recognizers import load_recognizer
from .recognizers.perceptual import load_stlpips
from .regeneration.regenerate import REFINE_STEPS, Regenerator
from .weights import store


def load_parts(
    generator: str, method: str, device: str, generator_path: str | os.PathLike | None
) -> tuple[Detector, Regenerator, Population, Perception]:
    """Load the parts of an `anonlab.Anonymizer`; its `load` says what is what and what is raised."""
    check_choice("method", method, METHODS)
    chosen = pick_device(device)
    recognizer = load_recognizer("dlib", device=chosen)
    loaded = load_generator(generator, generator_path, chosen)
    population = Population.load(chosen)
    if method == "auto":
        method = "encode" if store.find(f"encoder-{loaded.name}") else "optimize"
    refine_steps = REFINE_STEPS if method == "optimize" else 0
    perception = Perception(recognizer, population)
    if method == "encode":
        encoder, correction = load_encoder(loaded, device=chosen), None
        if loaded.name == population.generator:
            readers = Readers.load(population, chosen)
            correction = Correction(store.load_shipped("correction"), loaded, recognizer, readers)
        start: Start = EncoderStart(encoder, correction, AIM)
    elif method == "one-pass" and loaded.name != population.generator:
        raise UnknownOption(
            f"method one-pass is not for generator {loaded.name}, because the linear start knows only "
            f"{population.generator}; choose optimize, or train an encoder and choose encode"
        )
    else:
        overshoot = OVERSHOOT if method == "one-pass" else 1.0
        start = LinearStart(LinearInitialization(loaded, population), overshoot)
    regenerator = Regenerator(
        loaded, recognizer, load_stlpips(chosen), start, perception.landmarks, refine_steps
    )
    return Detector(chosen), regenerator, population, perception
