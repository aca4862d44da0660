"""An anonymizer for clips, and a fast one for what does not depend on how good faces are."""

from __future__ import annotations

import pytest

from anonlab.encoding.linear import LinearInitialization
from anonlab.encoding.start import OVERSHOOT, LinearStart
from anonlab.generators.samples import sample_photo
from anonlab.pipeline import Anonymizer

KEY = b"a key for the tests of clips"


@pytest.fixture(scope="session")
def anonymizer():
    return Anonymizer.load(key=KEY)


@pytest.fixture(scope="session")
def fast(anonymizer):
    """The linear start alone: a third of a second a frame."""
    linear = LinearInitialization(anonymizer.generator, anonymizer.population)
    return anonymizer.replace(start=LinearStart(linear, OVERSHOOT))


@pytest.fixture(scope="session")
def astronaut_still():
    """Her head, whose face is two fifths of the square."""
    return sample_photo("astronaut").crop((110, 0, 350, 240))


@pytest.fixture(scope="session")
def other_still(anonymizer):
    return sample_photo("synthetic-15", anonymizer.generator)
