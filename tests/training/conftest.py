"""Generated faces that all tests of training share, and the task of a tiny encoder."""

from dataclasses import fields

import pytest
import torch

from anonlab.encoding.encoder import EncoderConfig
from anonlab.perception.networks import load_glasses, load_landmarks, load_perception_network
from anonlab.training.encoder import EncoderTask, FrozenNetworks
from anonlab.training.synthetic import Samples, generate

TINY = EncoderConfig(resolution=64, channels=(8, 8, 16, 16), width=16, layers=1, heads=2)


@pytest.fixture(scope="session")
def samples(generator, recognizer, population) -> Samples:
    return generate(generator, recognizer, population, 48, 3, load_perception_network())


@pytest.fixture(scope="session")
def few(samples) -> Samples:
    return Samples(*(getattr(samples, one.name)[:8] for one in fields(Samples)))


@pytest.fixture
def task(few, generator, recognizer, perceptual, population) -> EncoderTask:
    networks = FrozenNetworks(generator, recognizer, perceptual, load_landmarks(), load_glasses())
    return EncoderTask(few, networks, population, TINY)


@pytest.fixture
def minutes(monkeypatch) -> None:
    """A minute passes with every look at the clock, which is one a step."""
    clock = iter(range(1000))
    monkeypatch.setattr("anonlab.training.loop.time.monotonic", lambda: 60.0 * next(clock))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(name="rng", scope="session")
def seeded():
    return rng
