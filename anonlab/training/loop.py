"""The training loop. It knows nothing of what is trained: a task brings model and losses.

AdamW, a cosine schedule, clipped gradients, an exponential moving average, a checkpoint that a
stopped run resumes from exactly, and a log.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from tqdm.auto import tqdm

from ..errors import AnonlabError, InputDamaged, InputMissing, UnknownOption
from ..files import atomic_path, write_json
from ..watch import Watch, quiet

BAR = "{desc} {percentage:3.0f}% |{bar}| {elapsed}"
KEPT = ("step", "images", "seconds", "log", "validation")  # of `Trained`, in a checkpoint


class TrainingDiverged(AnonlabError):
    """The loss is no longer a number; the last good checkpoint is kept."""


class Task(Protocol):
    """Say what is trained, and on what."""

    name: str
    model: nn.Module

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the named, already weighted terms of one step's loss; `progress` goes from 0 to 1."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return numbers on samples that are never trained on."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """Say how long and how fast."""

    steps: int = 1000
    batch: int = 32
    learning_rate: float = 3e-4
    warm_up: int = 100  # steps of rising learning rate
    weight_decay: float = 0.01
    ema: float = 0.999  # decay of the moving average; less at the beginning
    clip: float = 1.0  # of the gradient's norm
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 500
    seed: int = 0


@dataclass
class Trained:
    """Hold what came out of a run."""

    model: nn.Module  # the moving average
    finished: bool = False  # False when the time was up first
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    log: list[dict] = field(default_factory=list)  # mean losses of every `log_every` steps
    validation: list[dict] = field(default_factory=list)  # what `Task.validate` measured


def bars() -> Watch:
    """Make a watch that shows one bar after the other, where there is a terminal or a notebook."""
    shown: list[tqdm] = []

    def watch(doing: str, share: float) -> None:
        if not shown or shown[-1].desc != doing:
            if shown:
                shown.pop().close()
            shown.append(tqdm(total=100, desc=doing, bar_format=BAR))
        shown[-1].update(100 * share - shown[-1].n)

    return watch


def seeded_model(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return what `make()` makes with the first weights of `seed`; the global generator is put back."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # modules draw from the global generator
        return make()


def train(
    task: Task, plan: TrainConfig, out: Path, resume: bool = False, minutes: float | None = None,
    watch: Watch = quiet,
) -> Trained:  # fmt: skip
    """Train `task` and keep `checkpoint.pt` and `log.json` (losses and validation) in `out`.

    With `resume` it goes on where `out/checkpoint.pt` stopped, and ends as if it had never
    stopped. `minutes` stops this call, with a checkpoint, when the time is up. Raises
    `TrainingDiverged` (the checkpoint before stays) and `InputMissing` when there is nothing to resume,
    `InputDamaged` for a broken checkpoint and `UnknownOption` for one of another plan.
    """
    device = next(task.model.parameters()).device
    model, average = task.model, copy.deepcopy(task.model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98)
    )
    rng = torch.Generator().manual_seed(plan.seed)
    state, sums, path = Trained(average), {}, out / "checkpoint.pt"
    stateful = {"model": model, "average": average, "optimizer": optimizer}
    if resume:
        saved = _read(path, task.name, plan)
        for name, one in stateful.items():
            one.load_state_dict(saved[name])
        rng.set_state(saved["rng"])
        vars(state).update({name: saved[name] for name in KEPT})
        sums = saved["sums"]

    def save() -> None:
        content = {name: one.state_dict() for name, one in stateful.items()}
        content |= {name: getattr(state, name) for name in KEPT}
        content |= {"task": task.name, "plan": asdict(plan), "rng": rng.get_state(), "sums": sums}
        with atomic_path(path) as partial:
            torch.save(content, partial)
        write_json(out / "log.json", {"log": state.log, "validation": state.validation})

    before, start = state.seconds, time.monotonic()
    while state.step < plan.steps:
        watch(task.name, state.step / plan.steps)
        state.seconds = before + time.monotonic() - start
        if minutes is not None and state.seconds - before > 60 * minutes:
            save()
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, state.step)
        terms = task.losses(model, plan.batch, state.step / plan.steps, rng)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        # one transfer a step: every other would make a GPU wait
        numbers = torch.stack([*terms.values(), loss, norm]).tolist()
        if not all(map(math.isfinite, numbers)):
            kept = f"{path} keeps the last good state" if path.is_file() else "nothing was saved yet"
            raise TrainingDiverged(
                f"the loss of {task.name} is not a number at step {state.step}; {kept}: "
                f"resume it with a lower learning rate"
            )
        optimizer.step()
        state.step += 1
        state.images += plan.batch
        _update_average(average, model, min(plan.ema, (1 + state.step) / (10 + state.step)))
        for name, value in zip((*terms, "total", "norm"), numbers, strict=True):
            sums[name] = sums.get(name, 0.0) + value
        last = state.step == plan.steps
        if last or state.step % plan.log_every == 0:
            count = (state.step - 1) % plan.log_every + 1
            row = {"step": state.step, "images": state.images, "lr": learning_rate(plan, state.step - 1)}
            state.log.append(row | {name: total / count for name, total in sums.items()})
            sums = {}
        if last or state.step % plan.validate_every == 0:
            with torch.no_grad():
                state.validation.append({"step": state.step} | task.validate(average))
        if last or state.step % plan.save_every == 0:
            state.seconds = before + time.monotonic() - start
            save()
    state.finished = state.step >= plan.steps
    watch(task.name, state.step / plan.steps)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return state


def learning_rate(plan: TrainConfig, step: int) -> float:
    """Rise in `warm_up` steps, then fall a half cosine to a hundredth."""
    rise = min(1.0, (step + 1) / max(1, plan.warm_up))
    fall = 0.505 + 0.495 * math.cos(math.pi * step / plan.steps)
    return plan.learning_rate * rise * fall


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model; buffers are copied."""
    torch._foreach_lerp_([*average.parameters()], [*model.parameters()], 1 - decay)
    for a, b in zip(average.buffers(), model.buffers(), strict=True):
        a.copy_(b)


def _read(path: Path, name: str, plan: TrainConfig) -> dict:
    """Read a checkpoint of this task and plan."""
    if not path.is_file():
        raise InputMissing(f"{path} does not exist, so there is nothing to resume; leave out --resume")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputDamaged(
            f"{path} is not a checkpoint that can be read ({error}); start again"
        ) from None
    # A lower learning rate is how one goes on after a loss that was no number.
    mine = asdict(plan) | {"learning_rate": saved["plan"]["learning_rate"]}
    if (saved["task"], saved["plan"]) != (name, mine):
        changed = [one for one in mine if mine[one] != saved["plan"].get(one)]
        raise UnknownOption(
            f"{path} is of {saved['task']} with another {', '.join(changed) or 'task'}; resume with the "
            f"same options, or start again in another folder"
        )
    return saved
