"""A trial follows a training by Lightning."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tuner.errors import Invalid
from tuner.training import build_optimizer, build_scheduler, take_step

pytest.importorskip("lightning", reason="the extra 'lightning' is not installed")
# theirs, about the torch and the machine they run on
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]
ADAM = {"optimizer": "adamw", "adamw.lr": 0.05, "schedule": "cosine"}


@pytest.fixture
def parts() -> SimpleNamespace:
    """Lightning's names and ours, imported where a test runs: the import itself warns."""
    from lightning.pytorch import LightningModule, Trainer

    from tuner.training.lightning import TunerCallback

    class Line(LightningModule):
        def __init__(self, params: dict[str, Any], automatic: bool = True, bad_from: int = 99):
            super().__init__()
            self.params, self.bad_from = params, bad_from
            self.automatic_optimization = automatic
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(3, 4),
                torch.nn.Tanh(),
                torch.nn.Dropout(0.2),
                torch.nn.Linear(4, 1),
            )

        def loss(self, batch: Any) -> torch.Tensor:
            return torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1])

        def training_step(self, batch: Any) -> torch.Tensor | None:
            if self.automatic_optimization:
                return self.loss(batch)
            take_step(self.optimizers(), lambda: self.loss(batch), self)
            return None

        def validation_step(self, batch: Any) -> None:
            bad = self.current_epoch + 1 >= self.bad_from
            self.log("val_loss", self.loss(batch) * (math.nan if bad else 1.0))
            self.log("epoch_seen", float(self.current_epoch))

        def configure_optimizers(self) -> Any:
            optimizer = build_optimizer(self, self.params)
            steps = int(self.trainer.estimated_stepping_batches)
            scheduler = build_scheduler(optimizer, self.params, total_steps=steps)
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    return SimpleNamespace(Trainer=Trainer, Callback=TunerCallback, Line=Line)


@pytest.fixture
def own_trial(make_trial, tmp_path: Path) -> Any:
    class OwnTrial(make_trial):
        metrics = ("val_loss",)
        checkpoint_dir = tmp_path / "trial"

    return OwnTrial


def fit(parts: Any, trial: Any, module: Any, epochs: int = 4, **options: Any) -> Any:
    """Train; data, weights and the order of batches are the same for every call."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=source)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    callback = parts.Callback(trial, **options.pop("callback", {}))
    trainer = parts.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=options.pop("devices", 1),
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    train, val = DataLoader(data, batch_size=8), DataLoader(data, batch_size=24)
    trainer.fit(module, train, val, ckpt_path=callback.ckpt_path, weights_only=True)
    return trainer


def test_each_epoch_is_reported_at_its_number(parts, own_trial):
    trial = own_trial()
    fit(parts, trial, parts.Line(ADAM))
    assert sorted(trial.rows) == [1, 2, 3, 4]
    assert [trial.rows[step]["epoch_seen"] for step in (1, 4)] == [0.0, 3.0]
    assert all(math.isfinite(row["val_loss"]) for row in trial.rows.values())


def test_only_the_named_metrics_are_reported(parts, own_trial):
    trial = own_trial()
    fit(parts, trial, parts.Line(ADAM), 1, callback={"metrics": ["val_loss"]})
    assert list(trial.rows[1]) == ["val_loss"]


def test_an_epoch_without_validation_reports_no_old_values(parts, own_trial):
    trial = own_trial()
    fit(parts, trial, parts.Line(ADAM), 4, check_val_every_n_epoch=2)
    assert sorted(trial.rows) == [2, 4]


@pytest.mark.parametrize("reason", ["pruned", "preempted"])
def test_a_stop_ends_the_training_with_a_checkpoint(parts, own_trial, reason):
    trial = own_trial(stop_at=2, reason=reason)
    fit(parts, trial, parts.Line(ADAM), callback={"checkpoint_every": 10})
    assert sorted(trial.rows) == [1, 2]
    assert [step for step, _ in trial.saved] == [2]


def test_a_loss_that_is_not_finite_ends_the_training(parts, own_trial):
    trial = own_trial()
    fit(parts, trial, parts.Line(ADAM, bad_from=2))
    assert sorted(trial.rows) == [1, 2]
    assert math.isnan(trial.rows[2]["val_loss"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_training_goes_on_as_if_never_stopped(parts, own_trial, optimizer):
    params = {"optimizer": optimizer, "schedule": "cosine"}
    torch.manual_seed(3)
    whole, module = own_trial(), parts.Line(params).eval()
    start = {name: value.clone() for name, value in module.state_dict().items()}
    module.layers[2].p = 0.0  # Lightning does not keep the random state
    fit(parts, whole, module)

    first = own_trial(stop_at=2)
    module = parts.Line(params)
    module.load_state_dict(start)
    module.layers[2].p = 0.0
    fit(parts, first, module)
    second, resumed = own_trial(checkpoint=first.saved[-1][1]), parts.Line(params)
    resumed.layers[2].p = 0.0
    fit(parts, second, resumed)
    assert sorted(second.rows) == [3, 4]
    assert list(second.checkpoint_dir.iterdir()) == []
    assert {**first.rows, **second.rows} == whole.rows


@pytest.mark.parametrize("optimizer", ["lbfgs", "sam"])
def test_lightning_gives_optimizers_their_closure(parts, own_trial, optimizer):
    trial = own_trial()
    fit(parts, trial, parts.Line({"optimizer": optimizer}))
    assert trial.rows[4]["val_loss"] < trial.rows[1]["val_loss"]


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs", "sam", "newton_cg", "adahessian"])
def test_take_step_steps_every_optimizer_in_manual_optimization(parts, own_trial, optimizer):
    torch.manual_seed(0)
    trial = own_trial()
    params = (
        {"optimizer": optimizer, "lr": 0.05} if optimizer == "adamw" else {"optimizer": optimizer}
    )
    trainer = fit(parts, trial, parts.Line(params, automatic=False), 6)
    assert trainer.global_step == 18
    assert trial.rows[6]["val_loss"] < trial.rows[1]["val_loss"]


def test_several_processes_are_refused(parts, own_trial):
    callback = parts.Callback(own_trial())
    with pytest.raises(Invalid, match="2 processes"):
        callback.setup(SimpleNamespace(world_size=2), None, "fit")


def test_a_checkpoint_of_another_kind_is_refused(parts, own_trial):
    with pytest.raises(Invalid, match="not made by TunerCallback"):
        _ = parts.Callback(own_trial(checkpoint={"epoch": 1})).ckpt_path
