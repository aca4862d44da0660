"""Devices, and the cores that a process may use."""

from __future__ import annotations

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
    with pytest.raises(UnknownOption, match="auto, cpu, cuda"):
        pick_device("abacus")


def test_waiting_threads_sleep_unless_told_otherwise():
    code = "import anonlab, os; print(os.environ['OMP_WAIT_POLICY'], os.environ['KMP_BLOCKTIME'])"
    for own, said in (({}, "passive 0"), ({"OMP_WAIT_POLICY": "active"}, "active 0")):
        clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=clean | own, capture_output=True, text=True
        )
        assert done.stdout.strip() == said
