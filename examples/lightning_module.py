"""Your own LightningModule: which optimizer, which learning rate, which width?

    pip install 'tuner[server,worker,lightning]'
    python examples/lightning_module.py

`configure_optimizers` builds what the trial has chosen; `TunerCallback` reports each epoch, stops
bad trials early, and keeps checkpoints to resume from.
"""

import logging
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import tuner
from tuner.training import build_optimizer, build_scheduler
from tuner.training.lightning import TunerCallback

EPOCHS = 9


class Digits(LightningModule):
    def __init__(self, params):
        super().__init__()
        self.params = params
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, params["width"]),
            torch.nn.ReLU(),
            torch.nn.Linear(params["width"], 10),
        )

    def training_step(self, batch):
        x, y = batch
        return torch.nn.functional.cross_entropy(self.layers(x), y)

    def validation_step(self, batch):
        x, y = batch
        scores = self.layers(x)
        self.log("val_loss", torch.nn.functional.cross_entropy(scores, y))
        self.log("val_accuracy", (scores.argmax(1) == y).float().mean())

    def configure_optimizers(self):
        optimizer = build_optimizer(self, self.params)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = build_scheduler(optimizer, self.params, total_steps=total)
        # The schedule counts optimizer steps, not epochs.
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def objective(trial) -> None:
    torch.set_num_threads(1)
    data = load_digits()
    x = torch.tensor(data.data, dtype=torch.float32) / 16.0
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, val = order[:1400], order[1400:]

    torch.manual_seed(0)
    module = Digits(trial.params)
    callback = TunerCallback(trial)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        callbacks=[callback],
        # tuner keeps the checkpoints and the measurements
        enable_checkpointing=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        DataLoader(TensorDataset(x[train], y[train]), batch_size=64, shuffle=True),
        DataLoader(TensorDataset(x[val], y[val]), batch_size=397),
        ckpt_path=callback.ckpt_path,
        weights_only=True,
    )


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    with tuner.Client() as client:
        study = client.create_study(
            "lightning",
            space=tuner.space.optimizers("momentum", "adamw", "sam")
            | {
                "width": tuner.Int(16, 128, log=True),
                "schedule": tuner.Categorical(["constant", "cosine"]),
            },
            objective={"metric": "val_loss", "from": "best"},
            sampler={"name": "gp", "seed": 1},
            pruner={"name": "asha", "min_step": 3, "max_step": EPOCHS, "reduction_factor": 3},
            exist_ok=True,
        )
        study.optimize(objective, trials=6)
        best = study.best
        assert best is not None
        print(f"best: trial {best['number']}, val_loss {best['values']['val_loss']:.4f}")
        for name, value in best["params"].items():
            print(f"  {name} = {value}")


if __name__ == "__main__":
    main()
