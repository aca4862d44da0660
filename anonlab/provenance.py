"""What a number depends on: commit, packages, weights, seeds and the machine that made it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .weights import store

PACKAGES = ("torch", "torchvision", "captum", "facenet-pytorch", "numpy", "openvino", "onnxruntime")
INSTRUCTIONS = ("sse4_1", "avx", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
                "amx_bf16", "amx_int8", "asimd", "sve", "bf16")  # fmt: skip


def provenance(device: torch.device | None = None, seeds: Iterable[int] = ()) -> dict:
    """Collect everything that a number depends on, as JSON; `device` None is the one that `auto` means.

    All pretrained files of this machine are in it, used or not; the files are hashed,
    which takes about a second: call it once a run. TF32 is the state of this process.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "weights": {key: store.sha256(path) for key in store.WEIGHTS if (path := store.find(key))},
        "seeds": list(seeds),
        "device": device.type,
        "hardware": hardware(device),
        "cpu": cpu(),
        "tf32": {
            "matmul": torch.get_float32_matmul_precision() != "highest",
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
        "cores": os.cpu_count(),
    }


def changes(before: dict, after: dict) -> list[str]:
    """List what differs between two provenances, by name: `packages torch 2.14.1 → 2.15.0`."""
    lines = []
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            lines += [f"{key} {line}" for line in changes(was, now)]
        elif was != now:
            lines.append(f"{key} {_short(was)} → {_short(now)}")
    return lines


def _short(value: object) -> str:
    """Write a value as text; of a fingerprint the first eight digits."""
    text = "none" if value is None else str(value)
    return re.sub(r"[0-9a-f]{40,64}", lambda found: found[0][:8], text)


def commit() -> str | None:
    """Return the commit of this checkout, `+changes` when files differ from it; None outside git."""
    if not shutil.which("git"):
        return None

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True).stdout

    if not git("ls-files", Path(__file__).name):  # installed inside another repository
        return None
    return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain") else "")


def hardware(device: torch.device) -> str:
    """Describe in words what the run ran on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads, {platform.machine()}"


def cpu() -> dict[str, str]:
    """Name the processor, and those of its instruction sets by which libraries choose their kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    except OSError:  # no Linux
        about = {"model name": platform.processor()}
    offered = set(about.get("flags", about.get("Features", "")).split())
    return {
        "model": about.get("model name", platform.machine()),
        "instructions": " ".join(name for name in INSTRUCTIONS if name in offered),
        "torch": torch.backends.cpu.get_cpu_capability(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
