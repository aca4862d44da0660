"""OpenVINO, imported without its telemetry.

`import openvino` reports itself to Google Analytics and leaves an identifier in the home folder,
unless its helper package is absent. A tool for privacy reports nothing, so that package is hidden
while OpenVINO is imported; OpenVINO then uses its own stub.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

TELEMETRY = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """The module `openvino`. Raises `ImportError` where it is not installed or does not fit."""
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    hidden = TELEMETRY not in sys.modules
    if hidden:
        sys.modules[TELEMETRY] = None  # Python's way to say: this import fails
    try:
        return importlib.import_module("openvino")
    finally:
        if hidden:
            sys.modules.pop(TELEMETRY, None)


def openvino_problem() -> str:
    """Why OpenVINO cannot run networks on this machine's CPU; empty when it can."""
    try:
        devices = import_openvino().Core().available_devices
    except (ImportError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if "CPU" in devices else f"it knows only the devices {devices}"


def cpu_precisions() -> tuple[str, ...]:
    """What OpenVINO can compute with here: `f32`, on some CPUs `bf16` too, or nothing at all."""
    if openvino_problem():
        return ()
    offered = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("f32", "bf16") if "BF16" in offered else ("f32",)
