"""Devices, and the cores that a process may use."""

import os
import subprocess
import sys

import pytest

from anonlab.device import cores, pick_device
from anonlab.errors import UnknownOption


def test_a_process_that_is_held_to_one_core_has_one():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not hold processes to cores")
    assert cores() == len(os.sched_getaffinity(0))
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from anonlab.device import cores; print(cores())"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "1"


def test_a_device_that_nobody_knows_is_refused():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UnknownOption, match="auto, cpu or cuda"):
        pick_device("abacus")
