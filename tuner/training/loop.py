"""The loop that trains a built-in task as one trial.

Same task and parameters give the same numbers, bit for bit, on the same machine: the seed fixes
weights, order of examples and dropout, and the number of threads is set. The caller's random
state and number of threads are as before afterwards. A resumed training equals an uninterrupted
one, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import torch

from tuner.core.names import MISSING, OPTIMIZER, resolve
from tuner.errors import Invalid
from tuner.optimizers.registry import get
from tuner.tasks import source
from tuner.tasks.check import complete
from tuner.tasks.registry import OPTIONS
from tuner.training.replicates import replicate_of
from tuner.training.trainer import Training

CHECKPOINT_EVERY_S: Final = 10.0
_GIVEN_BACK: Final = ("paused", "preempted")


class TaskTrial(Protocol):
    """What the loop needs of a trial.

    Two more are read where there are any: `device` (as `cuda:0`), and `replicate`, from 1 for a
    trial that repeats another on a fresh seed.
    """

    params: Mapping[str, Any]
    number: int

    def report(self, step: int, **metrics: float) -> None:
        """Report metrics at a step."""

    def should_stop(self) -> str | None:
        """The reason to stop, or None."""

    def save_checkpoint(self, state: Any, step: int) -> None:
        """Store a state; it must be serialised or copied before this returns."""

    def load_checkpoint(self) -> Any:
        """The newest stored state, or None."""

    def log(self, message: str) -> None:
        """Write a line to the trial's log."""


def run_task(task: Mapping[str, Any], trial: TaskTrial) -> None:
    """Train one trial of a built-in task, reporting after each epoch at steps 1 to epochs.

    It resumes from the trial's checkpoint if there is one. A stop that gives the trial back to
    the queue (`paused`, `preempted`) saves a checkpoint; otherwise one is saved at the end of an
    epoch when ten seconds have passed since the last. When the loss is no longer finite the trial
    ends at once, and what it reports last is not finite. A repetition on a fresh seed reports the
    test set's metrics too, with its last epoch.

    Args:
        task: As in a study file; the trial's parameters override its keys.
        trial: The trial; its device is `trial.device` if that exists, else CUDA if there is any.

    Returns:
        Nothing: the objective is taken from what was reported, as the study says.

    Raises:
        Invalid: If the task and the parameters together cannot be trained.
    """
    options = effective_options(task, trial.params)
    device = torch.device(
        getattr(trial, "device", None) or ("cuda" if torch.cuda.is_available() else "cpu")
    )
    with _isolated(device, options["threads"]):
        training = Training(options, trial.params, device, replicate_of(trial))
        state = trial.load_checkpoint()
        if state is not None:
            training.load_state(state)
        for warning in training.warnings:
            trial.log(warning)
        trial.log(f"training on {device} from epoch {training.epoch + 1} of {training.epochs}")
        _train(training, trial)


def effective_options(task: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The complete task with the trial's parameters laid over it, by the rule of names.

    `batch_size` is absent where neither gives it and the optimizer is meant for the whole
    training set. What `reads` names is among them where it has a value.

    Raises:
        Invalid: If they cannot be trained together, or a parameter names own code or a file.
    """
    chosen = {OPTIMIZER: complete(task)[OPTIMIZER], **params}
    searched = [option.name for option in OPTIONS.values() if not option.is_fixed]
    given = {**task, **_values(chosen, searched)}
    for name in ("model", "dataset"):
        if given.get(name) != task.get(name) and given[name] not in OPTIONS[name].choices:
            text = f"found {given[name]!r}; a trial's parameter may name registered ones only."
            raise Invalid.at(name, text, found=str(given[name]))
    options = complete(given)
    read = source.names_read(task)
    defaults = task[source.READS] if isinstance(task.get(source.READS), Mapping) else {}
    options |= {**defaults, **_values(chosen, read)}
    if "batch_size" not in given and get(options[OPTIMIZER]).batch != "any":
        del options["batch_size"]
    return options


def _values(params: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values that the names have by the rule of names."""
    found = {name: resolve(params, name) for name in names}
    return {name: value for name, value in found.items() if value is not MISSING}


def _train(training: Training, trial: TaskTrial) -> None:
    saved_at = time.monotonic()
    while training.epoch < training.epochs:
        metrics = training.run_epoch()
        is_finite = math.isfinite(metrics["train_loss"] + metrics["val_loss"])
        if is_finite and training.is_over:
            metrics |= training.test()
        trial.report(training.epoch, **metrics)
        if not is_finite:
            trial.log(f"diverged in epoch {training.epoch}")
            return
        if training.epoch == training.epochs:
            return
        if training.is_stalled:
            trial.log(f"no lower val_loss in {training.patience} epochs: ended early")
            return
        reason = trial.should_stop()
        is_due = time.monotonic() - saved_at >= CHECKPOINT_EVERY_S
        if reason in _GIVEN_BACK or (reason is None and is_due):
            trial.save_checkpoint(training.state(), training.epoch)
            saved_at = time.monotonic()
        if reason is not None:
            return


@contextmanager
def _isolated(device: torch.device, threads: int) -> Iterator[None]:
    """Keep the caller's random state and thread count; choose deterministic convolutions."""
    before = torch.get_num_threads()
    cuda = [device] if device.type == "cuda" else []
    torch.set_num_threads(threads)
    try:
        with (
            torch.random.fork_rng(devices=cuda),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            yield
    finally:
        torch.set_num_threads(before)
