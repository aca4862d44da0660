"""What is known of one person, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..files import atomic_path
from .methods import ORIGINAL


@dataclass
class PersonResult:
    """What was measured on one person."""

    person: str
    numbers: dict[str, dict[str, float]]  # by method
    asked: dict[str, list[float]]  # target_distance, mask_area: [asked, reached, asked, reached, …]
    tensors: dict[str, torch.Tensor]  # probe/…, gallery/…, attacker/…, features/…, picture/…

    def probe(self, recognizer: str, method: str) -> torch.Tensor | None:
        """The embedding `(dim,)` of the first photo after a method; None where it was not tried."""
        return self.tensors.get(f"probe/{recognizer}/{method}")

    def gallery(self, recognizer: str) -> torch.Tensor | None:
        """The embedding `(dim,)` of the second photo; None where there is only one."""
        return self.tensors.get(f"gallery/{recognizer}/{ORIGINAL}")

    def has_gallery(self) -> bool:
        """Whether there is a second photo."""
        return any(name.startswith("gallery/") for name in self.tensors)


@dataclass
class Evaluation:
    """The results in the order of the people, and what could not be evaluated."""

    results: list[PersonResult]
    problems: list[dict[str, str]] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)  # of the weights that made it


def write_result(path: Path, result: PersonResult) -> None:
    """Keep a finished person. Raises `OutputNotWritable`."""
    about = {
        "person": result.person,
        "numbers": json.dumps(result.numbers),
        "asked": json.dumps(result.asked),
    }
    with atomic_path(path) as partial:
        tensors = {name: tensor.contiguous() for name, tensor in result.tensors.items()}
        save_file(tensors, partial, metadata=about)


def read_result(path: Path) -> PersonResult | None:
    """A finished person; None where there is none, or only a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return PersonResult(
            about["person"], json.loads(about["numbers"]), json.loads(about["asked"]), tensors
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def thumbnail(result: PersonResult, method: str) -> Image.Image | None:
    """The small picture of a method; None where it was not tried."""
    pixels = result.tensors.get(f"picture/{method}")
    return None if pixels is None else Image.fromarray(pixels.numpy())
