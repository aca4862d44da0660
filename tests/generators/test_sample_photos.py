"""Photos that come with anonlab: other names are refused."""

import pytest

from anonlab.errors import UnknownOption
from anonlab.notebook.samples import sample_photo


@pytest.mark.parametrize(
    "name", ["nobody", "synthetic-", "synthetic-x", "synthetic-1-2-3", "astronaut-1"]
)
def test_another_name_is_refused(generator, name):
    with pytest.raises(UnknownOption, match="does not exist"):
        sample_photo(name, generator)
