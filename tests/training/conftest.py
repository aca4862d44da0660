"""The task of a tiny encoder, on a few generated faces."""

from dataclasses import fields

import pytest
from small import TINY, seeded

from anonlab.training.encoder import EncoderTask
from anonlab.training.synthetic import Samples


@pytest.fixture(scope="session")
def few(samples) -> Samples:
    return Samples(*(getattr(samples, one.name)[:8] for one in fields(Samples)))


@pytest.fixture
def task(few, generator, recognizer, population) -> EncoderTask:
    return EncoderTask(few, generator, recognizer, population, TINY)


@pytest.fixture
def minutes(monkeypatch) -> None:
    """A minute passes with every look at the clock, which is one a step."""
    clock = iter(range(1000))
    monkeypatch.setattr("anonlab.training.loop.time.monotonic", lambda: 60.0 * next(clock))


@pytest.fixture(scope="session")
def rng():
    return seeded
