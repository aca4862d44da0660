"""What a number depends on: commit, packages, weights, seeds and the machine that made it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from ..weights import store

PACKAGES = ("torch", "torchvision", "captum", "facenet-pytorch", "numpy", "openvino", "onnxruntime")
INSTRUCTIONS = ("sse4_1", "avx", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
                "amx_bf16", "amx_int8", "asimd", "sve", "bf16")  # fmt: skip


def provenance(device: torch.device | None = None, seeds: Iterable[int] = ()) -> dict:
    """Collect everything that a number depends on, as JSON; `device` None is the one that `auto` means.

    All pretrained files of this machine are in it, used or not; the files are hashed,
    which takes about a second: call it once a run. TF32 is the state of this process.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = f"{torch.get_num_threads()} CPU threads, {platform.machine()}"
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if find_spec(name.replace("-", "_"))},
        "weights": {key: store.sha256(path) for key in store.WEIGHTS if (path := store.find(key))},
        "seeds": list(seeds),
        "device": device.type,
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else threads,
        "cpu": cpu(),
        "tf32": {
            "matmul": torch.get_float32_matmul_precision() != "highest",
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
        "cores": os.cpu_count(),
    }


def changes(before: dict, after: dict) -> list[str]:
    """List what differs between two provenances, by name: `packages torch 2.14.1 → 2.15.0`. Of a
    fingerprint the first eight digits."""
    lines = []
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            lines += [f"{key} {line}" for line in changes(was, now)]
        elif was != now:
            line = f"{key} {'none' if was is None else was} → {'none' if now is None else now}"
            lines.append(re.sub(r"\b[0-9a-f]{40,64}", lambda found: found[0][:8], line))
    return lines


def commit() -> str | None:
    """Return the commit of this checkout, `+changes` when files differ from it; None outside git."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True).stdout

    if not shutil.which("git") or not git("ls-files", Path(__file__).name):  # inside another repository
        return None
    return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain") else "")


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
