"""A Lightning callback that reports for a trial, stops it, and resumes it.

    callback = TunerCallback(trial)
    trainer = Trainer(max_epochs=20, callbacks=[callback], devices=1)
    trainer.fit(module, train, val, ckpt_path=callback.ckpt_path, weights_only=True)

It needs the package `lightning`, the extra of the same name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from tuner.errors import Invalid, NotAvailable
from tuner.training.following import FollowingTrial, check_alone, follow

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise NotAvailable(
        f"tuner.training.lightning needs {error.name}, which is not installed.",
        hint="Install it with: pip install 'tuner[lightning]'",
    ) from error

_RESUME: Final = "resume.ckpt"


class TunerCallback(Callback):
    """Reports at the end of each epoch, at steps 1, 2, …; asks whether to stop; keeps checkpoints.

    What it reports is what the module has logged for the epoch (`self.log`): after an epoch with a
    validation everything, after one without it nothing, as Lightning would give the old values
    again. A training without validation reports its own metrics each epoch.

    Args:
        trial: The trial that this training is.
        metrics: Names to report; None: all.
        checkpoint_every: Epochs between two checkpoints, which hold all that Lightning resumes
            from; 0: none are made.
    """

    def __init__(
        self,
        trial: FollowingTrial,
        metrics: Collection[str] | None = None,
        checkpoint_every: int = 1,
    ) -> None:
        self._trial = trial
        self._metrics = metrics
        self._every = checkpoint_every
        self._has_validated = False

    @property
    def ckpt_path(self) -> str | None:
        """What `Trainer.fit` takes to go on from the last checkpoint; None to begin.

        Raises:
            TunerError: If the checkpoint cannot be read.
        """
        content = self._trial.load_checkpoint()
        if content is None:
            return None
        if not isinstance(content, bytes):
            raise Invalid("The checkpoint of this trial was not made by TunerCallback.")
        file = self._trial.checkpoint_dir / _RESUME
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(content)
        return str(file)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that one process trains.

        Raises:
            Invalid: If several do.
        """
        check_alone(trainer.world_size)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the file of `ckpt_path`, which has been read."""
        (self._trial.checkpoint_dir / _RESUME).unlink(missing_ok=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of it; the sanity check before the training does not count."""
        self._has_validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch, save a checkpoint where one is due, and stop if it is time."""
        epoch = trainer.current_epoch + 1
        logged = self._logged(trainer)
        self._has_validated = False
        stops = follow(self._trial, epoch, logged)
        if self._every and (stops or epoch % self._every == 0):
            self._trial.save_checkpoint(_content(trainer), epoch)
        if stops:
            trainer.should_stop = True

    def _logged(self, trainer: Trainer) -> dict[str, float]:
        if trainer.enable_validation and not self._has_validated:
            return {}
        return {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._metrics is None or name in self._metrics
        }


def _content(trainer: Trainer) -> bytes:
    """Lightning's own checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.ckpt"
        trainer.save_checkpoint(file)
        return file.read_bytes()
