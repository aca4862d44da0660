"""What a notebook hands to the run: its parameters, its numbers and its figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import make_dataclass
from pathlib import Path

from IPython.display import Image
from matplotlib.figure import Figure

from ..files import atomic_path, write_json
from .measured import Guard, to_json

HEADLESS = "ANONLAB_HEADLESS"  # set while papermill runs: no widgets, no progress bars


def headless() -> bool:
    """Return whether a notebook is being run by papermill rather than by a person."""
    return bool(os.environ.get(HEADLESS))


def settings(**values: object) -> object:
    """Return the parameters of a notebook as one frozen dataclass."""
    return make_dataclass("Settings", values, frozen=True)(**values)


def record(output: str | Path, metrics: dict, judged: Mapping[str, Guard] | None = None) -> dict:
    """Write a notebook's numbers to `output/metrics.json` and return their values, flat.

    Each states which way is better: `{"ssim": higher(0.9), "seconds": shown(3.2)}`, see
    `anonlab.notebook.measured`. Those named in `judged` can fail a run. Raises `UndeclaredMetric`.
    """
    recorded = to_json(metrics, judged)
    write_json(Path(output) / "metrics.json", recorded)
    return {name: one["value"] for name, one in recorded.items()}


def save_figure(figure: Figure, output: str | Path, name: str) -> Image:
    """Write a figure to `output/name.png`; the picture that comes back is what a notebook shows.

    (A `Figure` alone is only shown where matplotlib's inline backend was switched on.)
    """
    path = Path(output) / f"{name}.png"
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
    width = int(figure.get_figwidth() * 96)  # of a page, where an inch has 96
    return Image(filename=str(path), width=width, alt=alternative(figure, name))


def alternative(figure: Figure, name: str) -> str:
    """Return a figure's text for those who cannot see it: its name, and the titles, labels and lines of
    its axes, which say what was measured."""
    said = [name.lstrip("0123456789-").replace("-", " ")]
    for axis in figure.axes:
        legend = axis.get_legend_handles_labels()[1] if axis.get_title() or axis.get_xlabel() else []
        said += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel(), ", ".join(legend)]
    return "; ".join(dict.fromkeys(" ".join(one.split()) for one in said if one.strip()))[:400]
