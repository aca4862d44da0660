"""What is each loss for? Leave it out, train the same steps again, and look at what got worse."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..watch import Watch, quiet
from .encoder import EncoderTask
from .loop import TrainConfig, train


def ablate(
    task: EncoderTask, groups: Sequence[tuple[str, ...]], plan: TrainConfig, watch: Watch = quiet
) -> dict[str, dict[str, float]]:
    """Measure the encoder's validation numbers after `plan`: with all losses, and without each group.

    Every run starts at the weights that `task.model` has now and sees the same samples in the same
    order. The task is left as it was.
    """
    start, weight = task.model, task.weight
    runs = {"all losses": weight}
    for names in groups:
        runs["without " + ", ".join(names)] = replace(weight, **dict.fromkeys(names, 0.0))
    table = {}
    try:
        for title, weights in runs.items():
            watch("ablation", len(table) / len(runs))
            task.model, task.weight = copy.deepcopy(start), weights
            with tempfile.TemporaryDirectory() as folder:
                trained = train(task, plan, Path(folder))
            table[title] = {k: v for k, v in trained.validation[-1].items() if k != "step"}
    finally:
        task.model, task.weight = start, weight
    return table
