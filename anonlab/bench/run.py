"""`python -m anonlab bench`: every case one after the other, into one JSON and a figure a view."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from ..device import pick_device
from ..errors import UnknownOption
from ..files import atomic_path, write_json
from ..provenance import provenance
from .cases import Parts, all_cases
from .figures import memory_figure, view_figure
from .measure import Case, describe, measure
from .variants import stylegan2_variants, variants

REPEATS, QUICK_REPEATS = 5, 2


def run(
    out: Path = Path("outputs/bench"),
    device: str = "auto",
    repeats: int | None = None,
    quick: bool = False,
    progress: bool = False,
    cases: Sequence[Case] | None = None,
    parts: Any = None,
    generator_weights: Path | None = None,
) -> dict:
    """Time every case; write `out/bench.json` and a PNG for each view and for memory.

    Returns what the JSON says.
    `cases` and `parts` are by default those of `anonlab.bench.cases`, with a StyleGAN2 among them if
    its file is given as `generator_weights` or was downloaded. A case that fails has an `error`
    instead of numbers, and the others go on. Raises `UnknownOption`, `DeviceUnavailable`,
    `OutputNotWritable`, or as `load_generator` for a file that is given.
    """
    chosen = pick_device(device)
    repeats = (QUICK_REPEATS if quick else REPEATS) if repeats is None else repeats
    if repeats < 1:
        raise UnknownOption(f"repeats {repeats} is too few; measure at least once")
    found = variants(chosen, stylegan2_variants(generator_weights) if cases is None else None)
    cases = all_cases(chosen, quick, found) if cases is None else cases
    result = {
        "provenance": provenance() | {"device": about(chosen)},
        "settings": {"repeats": repeats, "quick": quick, "cases": len(cases)},
        "rows": [],
    }
    parts = Parts(chosen, found) if parts is None else parts
    # written at once and after every case: a folder that cannot be written is told of before the
    # first minute, and what was measured survives an interruption
    write_json(out / "bench.json", result)
    bar = tqdm(cases, unit="case", disable=not progress)
    for case in bar:
        bar.set_description(case.name)
        result["rows"].append(_row(case, parts, repeats, chosen))
        write_json(out / "bench.json", result)
    model = result["provenance"]["device"]["model"]
    views = dict.fromkeys(case.view for case in cases)
    figures = {view: view_figure(view, result["rows"], model) for view in views}
    figures["memory"] = memory_figure(result["rows"], model)
    for name, figure in figures.items():
        with atomic_path(out / f"{name}.png") as partial:
            figure.savefig(partial, format="png", dpi=110)
    return result


def _row(case: Case, parts: Any, repeats: int, device: torch.device) -> dict:
    try:
        return measure(case, parts, repeats, device)
    except Exception as error:  # out of memory, no compiler: this case's failure, not the run's
        return describe(case) | {"error": f"{type(error).__name__}: {error}"}
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def about(device: torch.device) -> dict:
    """What was measured on: kind, model and, on a CPU, how many threads torch used."""
    if device.type == "cuda":
        return {"type": "cuda", "model": torch.cuda.get_device_name(device)}
    return {"type": "cpu", "model": _cpu_model(), "threads": torch.get_num_threads()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
