"""A trial follows a training by the Hugging Face Trainer."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tuner.errors import Invalid
from tuner.training import build_optimizer, build_scheduler

pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")
pytest.importorskip("accelerate", reason="the extra 'transformers' is not installed")
# theirs, about the torch and the machine they run on
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]
ADAM = {"optimizer": "adamw", "adamw.lr": 0.05, "schedule": "cosine"}
ROWS = 24


class Line(nn.Module):
    """What the Trainer takes as a model: a loss from its inputs."""

    def __init__(self, bad_from: int = 99) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.bad_from, self.evaluations = bad_from, 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.layers(x)
        loss = nn.functional.mse_loss(scores, labels)
        if not self.training:
            self.evaluations += 1
            if self.evaluations >= self.bad_from:
                loss = loss * math.nan
        return {"loss": loss, "logits": scores}


class Follower:
    def __init__(self, make_trial: Any, folder: Path) -> None:
        class OwnTrial(make_trial):
            metrics = ("eval_loss",)
            checkpoint_dir = folder

        self.make, self.folder = OwnTrial, folder

    def train(self, trial: Any, params: Any = ADAM, epochs: int = 4, **options: Any) -> Any:
        from transformers import PrinterCallback, Trainer, TrainingArguments

        from tuner.training.transformers import TunerCallback

        x = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
        data = [{"x": row, "labels": row.sum().reshape(1)} for row in x]
        model = options.pop("model", None) or Line()
        callback = TunerCallback(trial, options.pop("metrics", None))
        optimizer = build_optimizer(model, params)
        scheduler = build_scheduler(optimizer, params, total_steps=epochs * 3)
        given = {"eval_strategy": "epoch", "save_strategy": "epoch", **options}
        arguments = TrainingArguments(
            output_dir=str(self.folder),
            num_train_epochs=epochs,
            per_device_train_batch_size=8,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            **given,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=data,
            eval_dataset=data,
            optimizers=(optimizer, scheduler),
            callbacks=[callback],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=callback.resume_from)
        return trainer


@pytest.fixture
def follower(make_trial, tmp_path: Path) -> Follower:
    return Follower(make_trial, tmp_path / "trial")


def test_each_evaluation_is_reported_at_its_epoch(follower):
    trial = follower.make()
    follower.train(trial)
    assert sorted(trial.rows) == [1, 2, 3, 4]
    assert all(list(row) == ["eval_loss"] for row in trial.rows.values())
    assert trial.rows[4]["eval_loss"] < trial.rows[1]["eval_loss"]


def test_evaluations_by_steps_are_reported_at_steps(follower):
    trial = follower.make()
    follower.train(trial, eval_strategy="steps", eval_steps=5, save_strategy="no")
    assert sorted(trial.rows) == [5, 10, 12]  # the Trainer evaluates at the end too


def test_named_metrics_are_reported(follower):
    trial = follower.make()
    follower.train(trial, epochs=1, metrics=["eval_loss", "eval_runtime"])
    assert sorted(trial.rows[1]) == ["eval_loss", "eval_runtime"]


def test_an_evaluation_after_the_training_is_not_reported(follower):
    trial = follower.make()
    trainer = follower.train(trial, epochs=2)
    trainer.evaluate()  # a second report of a step would be refused
    assert sorted(trial.rows) == [1, 2]


def test_a_stop_ends_the_training(follower):
    trial = follower.make(stop_at=2)
    follower.train(trial)
    assert sorted(trial.rows) == [1, 2]


def test_a_loss_that_is_not_finite_ends_the_training(follower):
    trial = follower.make()
    follower.train(trial, model=Line(bad_from=1 + ROWS // 8))
    assert sorted(trial.rows) == [1, 2]
    assert math.isnan(trial.rows[2]["eval_loss"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_training_goes_on_as_if_never_stopped(make_trial, tmp_path, optimizer):
    params = {"optimizer": optimizer, "schedule": "cosine"}
    straight = Follower(make_trial, tmp_path / "whole")
    whole = straight.make()
    straight.train(whole, params)
    follower = Follower(make_trial, tmp_path / "trial")
    first = follower.make(stop_at=2)
    follower.train(first, params)
    step, state = first.saved[-1]
    assert step == 6
    second = follower.make(checkpoint=state)
    follower.train(second, params)
    assert sorted(second.rows) == [3, 4]
    assert {**first.rows, **second.rows} == whole.rows


def test_a_checkpoint_that_is_gone_begins_anew(follower):
    trial = follower.make(checkpoint={"trainer": str(follower.folder / "checkpoint-6")})
    follower.train(trial, epochs=1)
    assert sorted(trial.rows) == [1]


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton_cg", "adahessian", "sam", "sam_adamw"])
def test_an_optimizer_that_the_trainer_cannot_step_is_refused_before_the_first_step(
    follower, optimizer
):
    trial, model = follower.make(), Line()
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(Invalid, match="within its step") as caught:
        follower.train(trial, {"optimizer": optimizer}, model=model)
    assert "take_step" in caught.value.hint
    assert trial.rows == {}
    assert all(map(torch.equal, model.parameters(), before))


def test_several_processes_are_refused(follower):
    from tuner.training.transformers import TunerCallback

    callback = TunerCallback(follower.make())
    with pytest.raises(Invalid, match="4 processes"):
        callback.on_train_begin(SimpleNamespace(world_size=4), None, None)


def test_a_checkpoint_of_another_kind_is_refused(follower):
    from tuner.training.transformers import TunerCallback

    with pytest.raises(Invalid, match="not made by TunerCallback"):
        _ = TunerCallback(follower.make(checkpoint=b"x")).resume_from
