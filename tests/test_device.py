"""Devices, and the cores that a process may use."""

import pytest

from anonlab.device import pick_device
from anonlab.errors import UnknownOption


def test_a_device_that_nobody_knows_is_refused():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UnknownOption, match="auto, cpu, cuda"):
        pick_device("abacus")
