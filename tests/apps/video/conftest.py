"""An anonymizer for clips, and a fast one for what does not depend on how good faces are."""

import numpy as np
import pytest
from making import OneFace

from anonlab.encoding.start import LinearStart
from anonlab.images import to_tensor
from anonlab.notebook.samples import sample_photo

KEY = b"a key for the tests of clips"


@pytest.fixture(scope="session")
def anonymizer(shipped):
    return shipped.replace(key=KEY)


@pytest.fixture(scope="session")
def fast(anonymizer, other_still, linear):
    """For what does not depend on how good a new face is."""
    picture = to_tensor(np.asarray(other_still))
    generator = OneFace(anonymizer.generator, picture)
    return anonymizer.replace(generator=generator, start=LinearStart(linear))


@pytest.fixture(scope="session")
def astronaut_still():
    """Her head, whose face is two fifths of the square."""
    return sample_photo("astronaut").crop((110, 0, 350, 240))


@pytest.fixture(scope="session")
def other_still(anonymizer):
    return sample_photo("synthetic-15", anonymizer.generator)
