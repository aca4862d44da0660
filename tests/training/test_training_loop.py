"""The loop: it resumes exactly, survives what goes wrong, and says what it did."""

import math

import pytest
import torch
from torch import nn

from anonlab.errors import InputDamaged, InputMissing, UnknownOption
from anonlab.training.loop import TrainConfig, TrainingDiverged, train

PLAN = TrainConfig(
    steps=12, batch=8, learning_rate=0.05, warm_up=3, log_every=5, validate_every=4, save_every=6
)


class Line:
    """Fit y = 2x - 1 from noisy draws."""

    name = "line"

    def __init__(self, spoiled: int | None = None):
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(1, 1)
        self.spoiled, self.calls = spoiled, 0

    def losses(self, model, batch, progress, rng):
        x = torch.randn(batch, 1, generator=rng)
        self.calls += 1
        miss = (model(x) - (2 * x - 1)).square().mean()
        return {"miss": miss * (math.nan if self.calls == self.spoiled else 1.0)}

    def validate(self, model):
        return {"slope": model.weight.item()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_it_learns_and_the_average_follows(tmp_path):
    task = Line()
    out = train(task, TrainConfig(steps=300, batch=32, learning_rate=0.05, warm_up=3, ema=0.9), tmp_path)
    assert out.finished and out.step == 300 and out.images == 9600
    assert abs(out.model.weight.item() - 2) < 0.02 and abs(out.model.bias.item() + 1) < 0.02
    assert not same(out.model, task.model)


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("stop", [1, 5, 7, 11])
def test_stopped_and_resumed_equals_never_stopped(tmp_path, stop):
    whole = train(Line(), PLAN, tmp_path / "whole")
    part = train(Line(), PLAN, tmp_path / "parts", minutes=stop + 0.5)
    assert not part.finished and 0 < part.step < PLAN.steps
    again = Line()
    nn.init.constant_(again.model.weight, 9.0)  # nothing of a new model may survive
    rest = train(again, PLAN, tmp_path / "parts", resume=True)

    assert same(whole.model, rest.model)
    assert rest.log == whole.log and rest.validation == whole.validation
    assert rest.images == whole.images
    logs = [(tmp_path / name / "log.json").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"step 8; .*checkpoint\.pt keeps"):
        train(Line(spoiled=9), PLAN, tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 6
    assert all(tensor.isfinite().all() for tensor in saved["model"].values())
    slower = TrainConfig(**{**PLAN.__dict__, "learning_rate": 0.01})
    assert train(Line(), slower, tmp_path, resume=True).finished


def test_nothing_to_resume_another_plan_and_a_broken_checkpoint_are_told(tmp_path):
    with pytest.raises(InputMissing, match="nothing to resume"):
        train(Line(), PLAN, tmp_path, resume=True)
    train(Line(), PLAN, tmp_path)
    with pytest.raises(UnknownOption, match="another batch"):
        train(Line(), TrainConfig(**{**PLAN.__dict__, "batch": 4}), tmp_path, resume=True)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputDamaged, match="not a checkpoint that can be read"):
        train(Line(), PLAN, tmp_path, resume=True)
