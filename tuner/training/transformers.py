"""A callback for the Hugging Face Trainer that reports for a trial, stops it, and resumes it.

    callback = TunerCallback(trial)
    trainer = Trainer(
        model,
        TrainingArguments(str(trial.checkpoint_dir), eval_strategy="epoch", save_strategy="epoch"),
        optimizers=(optimizer, scheduler),    # of build_optimizer and build_scheduler
        callbacks=[callback],
        …,
    )
    trainer.train(resume_from_checkpoint=callback.resume_from)

It needs the packages `transformers` and `accelerate`, the extra `transformers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from tuner.errors import Invalid, NotAvailable
from tuner.training.following import FollowingTrial, check_alone, follow
from tuner.training.stepping import needs

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ModuleNotFoundError as error:
    raise NotAvailable(
        f"tuner.training.transformers needs {error.name}, which is not installed.",
        hint="Install it with: pip install 'tuner[transformers]'",
    ) from error

# They differ from one evaluation of the same weights to the next.
_SPEEDS: Final = ("_runtime", "_per_second", "_compilation_time")


class TunerCallback(TrainerCallback):
    """Reports each evaluation, asks whether to stop, and names the Trainer's checkpoints.

    The step is the number of epochs done where `eval_strategy` is `epoch`, else that of optimizer
    steps. The names are the Trainer's: `eval_loss`, and `eval_` with those of `compute_metrics`.

    Args:
        trial: The trial that this training is.
        metrics: Names to report; None: all but times and speeds.
    """

    def __init__(self, trial: FollowingTrial, metrics: Collection[str] | None = None) -> None:
        self._trial = trial
        self._metrics = metrics
        self._is_training = False

    @property
    def resume_from(self) -> str | None:
        """What `Trainer.train` takes to go on from the last checkpoint; None to begin.

        Raises:
            TunerError: If the checkpoint cannot be read.
        """
        state = self._trial.load_checkpoint()
        if state is None:
            return None
        if not isinstance(state, dict) or not isinstance(state.get("trainer"), str):
            raise Invalid("The checkpoint of this trial was not made by TunerCallback.")
        folder = Path(state["trainer"])
        return str(folder) if folder.is_dir() else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check what the Trainer cannot do, before the first step.

        Raises:
            Invalid: If the optimizer evaluates the loss by itself or differentiates the gradient,
                or if several processes train.
        """
        check_alone(args.world_size)
        optimizer = kwargs["optimizer"]
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        if any(needs(optimizer)):
            raise Invalid.at(
                "optimizer",
                f"{type(optimizer).__name__} evaluates the loss, or differentiates the gradient,"
                " within its step, and the Hugging Face Trainer lets no optimizer do that.",
                found=type(optimizer).__name__,
                hint="Leave out lbfgs, newton_cg, adahessian, sam and sam_adamw, or train in a"
                " loop of your own with tuner.training.take_step.",
            )
        self._is_training = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report, and stop if it is time; an evaluation outside of training is not reported."""
        if not self._is_training:
            return
        by_epoch = args.eval_strategy == "epoch"
        step = round(state.epoch or 0) if by_epoch else state.global_step
        if follow(self._trial, step, self._measured(kwargs["metrics"])):
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Name the checkpoint that the Trainer has written as the trial's newest."""
        folder = Path(args.output_dir or ".").absolute() / f"checkpoint-{state.global_step}"
        self._trial.save_checkpoint({"trainer": str(folder)}, state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report no evaluation after it."""
        self._is_training = False

    def _measured(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        return {
            name: float(value)
            for name, value in metrics.items()
            if isinstance(value, int | float) and name != "epoch" and self._is_wanted(name)
        }

    def _is_wanted(self, name: str) -> bool:
        if self._metrics is None:
            return not name.endswith(_SPEEDS)
        return name in self._metrics
