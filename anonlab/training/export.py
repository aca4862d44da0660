"""Store what was trained: fp16 safetensors, and a card that says how to make it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..errors import OutputNotWritable
from ..files import atomic_path, write_json
from ..notebook.provenance import provenance
from ..weights import store
from .loop import TrainConfig, Trained


def ship_folder() -> Path:
    """Return the folder where training ships its files to. Raises `OutputNotWritable` in a wheel."""
    folder = store.data_folder()
    if store.installed():
        raise OutputNotWritable(
            f"{folder} belongs to an installed copy, whose files are not changed; clone the "
            "repository and train there, or leave --ship out and name a file with --out"
        )
    return folder


def export(
    tensors: dict[str, torch.Tensor], name: str, folders: Sequence[Path], metadata: dict[str, str],
    device: torch.device, seeds: Sequence[int] = (), **facts: object,
) -> dict:  # fmt: skip
    """Write `name.safetensors` (fp16) and its card, `name.json`, into each folder; returns the card.

    `metadata` goes into the header of the weights, `facts` into the card.
    """
    for folder in folders:
        path = folder / f"{name}.safetensors"
        write_tensors(tensors, path, metadata)
        card = write_card(path, device, seeds, **facts)
    return card


def write_card(path: Path, device: torch.device, seeds: Sequence[int], **facts: object) -> dict:
    """Write the card of the weights `path` beside them and return it: `facts`, provenance, sha256."""
    card = {**provenance(device, seeds), **facts, "sha256": store.sha256(path)}
    write_json(path.with_suffix(".json"), card)
    return card


def facts_of(trained: Trained, plan: TrainConfig) -> dict[str, object]:
    """Return what a card says of a run of training."""
    return {
        "minutes": round(trained.seconds / 60, 1),
        "steps": trained.step,
        "planned_steps": plan.steps,
        "images": trained.images,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "metrics": {k: v for k, v in (trained.validation or [{}])[-1].items() if k != "step"},
        "curve": {"log": trained.log, "validation": trained.validation},
    }


def write_tensors(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write named tensors as fp16 safetensors."""
    state = {name: tensor.half().contiguous().cpu() for name, tensor in tensors.items()}
    with atomic_path(path) as partial:
        save_file(state, partial, metadata=metadata)
