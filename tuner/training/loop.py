"""The loop that trains a built-in task as one trial.

Same task and parameters give the same numbers, bit for bit, on the same machine: the seed fixes
weights, order of examples and dropout, and the number of threads is set. The caller's random
state and number of threads are as before afterwards. A resumed training equals an uninterrupted
one, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

import torch
from torch.nn import functional

from tuner.core.names import MISSING, OPTIMIZER, resolve
from tuner.optimizers.registry import get
from tuner.tasks.check import complete
from tuner.tasks.groups import GROUPS
from tuner.tasks.registry import OPTIONS
from tuner.training.datasets import Data, load
from tuner.training.models import build_model
from tuner.training.optimizers import build_optimizer
from tuner.training.schedules import NAMES as SCHEDULE
from tuner.training.schedules import build_scheduler
from tuner.training.stepping import Needs, clip, needs, searches_a_line, take_step

CHECKPOINT_EVERY_S: Final = 10.0
_GIVEN_BACK: Final = ("paused", "preempted")
_NOT_CLIPPED: Final = "warning: the optimizer searches along a line, so clip_norm is not used"


class TaskTrial(Protocol):
    """What the loop needs of a trial; `device` (as `cuda:0`) is read too where there is one."""

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
    ends at once, and what it reports last is not finite.

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
        training = Training(options, trial.params, device)
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
    training set.
    """
    chosen = {OPTIMIZER: complete(task)[OPTIMIZER], **params}
    overridden = {name: resolve(chosen, name) for name in OPTIONS}
    given = {**task, **{name: v for name, v in overridden.items() if v is not MISSING}}
    options = complete(given)
    if "batch_size" not in given and get(options[OPTIMIZER]).batch != "any":
        del options["batch_size"]
    return options


def batch_size(options: Mapping[str, Any], rows: int) -> tuple[int, list[str]]:
    """Examples per step, and what there is to say about them.

    Args:
        options: What `effective_options` gave.
        rows: Examples of the training set.
    """
    entry = get(options[OPTIMIZER])
    batch = min(options.get("batch_size", rows), rows)
    if batch == rows or entry.batch == "any":
        return batch, []
    if entry.batch == "full":
        said = f"{entry.name} takes the whole training set, so batch_size {batch} is not used"
        return rows, [said]
    return batch, [
        f"warning: {entry.name} is meant for the whole training set ({rows} examples), and "
        f"batch_size is {batch}; noise misleads its curvature. Leave batch_size out, or give "
        f"{entry.name}.batch_size a larger value"
    ]


def _train(training: Training, trial: TaskTrial) -> None:
    saved_at = time.monotonic()
    while training.epoch < training.epochs:
        metrics = training.run_epoch()
        trial.report(training.epoch, **metrics)
        if not math.isfinite(metrics["train_loss"] + metrics["val_loss"]):
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


class Training:
    """A model in training; `epoch` is the number of epochs done, `patience` an option of tasks.

    Args:
        options: The complete task of this trial.
        params: The trial's parameters.
        device: Where to train.
    """

    def __init__(
        self, options: Mapping[str, Any], params: Mapping[str, Any], device: torch.device
    ) -> None:
        self.epoch = 0
        self.epochs: int = options["epochs"]
        self.patience: int | None = options.get("patience")
        self._least, self._waited = math.inf, 0
        self._device = device
        self._data: Data = load(options["dataset"], options["validation"], str(device), options)
        self._is_classification = self._data.spec.kind == "classification"
        self._loss = functional.cross_entropy if self._is_classification else functional.mse_loss
        # Validation losses have to compare between trials, so smoothing is for training only.
        self._train_loss: Callable[..., torch.Tensor] = self._loss
        if self._is_classification and options["label_smoothing"] > 0:
            smoothing = options["label_smoothing"]
            self._train_loss = partial(functional.cross_entropy, label_smoothing=smoothing)
        # Weights are made on the CPU, so that every device starts from the same.
        _seed(options["seed"], device)
        self._model = build_model(self._data.spec, options).to(device)
        self._order = torch.Generator().manual_seed(options["seed"])
        read = ("weight_decay", "layer_decay", "decay_on")
        chosen = {**params, OPTIMIZER: options[OPTIMIZER]}
        chosen |= {name: options[name] for name in read if name in options}
        self._weights = list(self._model.parameters())
        self._optimizer = build_optimizer(self._model, chosen, options.get(GROUPS, ()))
        self._is_plain = needs(self._optimizer) == Needs()
        self._evaluations = 0
        # The same numbers bit for bit as torch's default on the CPU, and less time per step.
        for group in self._optimizer.param_groups:
            group["foreach"] = True
        self._batch, self.warnings = batch_size(options, len(self._data.train_x))
        self._clip_norm: float | None = options.get("clip_norm")
        if self._clip_norm is not None and searches_a_line(self._optimizer):
            self.warnings = [*self.warnings, _NOT_CLIPPED]
        steps = self.epochs * math.ceil(len(self._data.train_x) / self._batch)
        schedule = {name: options[name] for name in SCHEDULE}
        self._scheduler = build_scheduler(self._optimizer, schedule, steps)
        self._rate: float = self._optimizer.param_groups[0]["lr"]
        self._params_million = sum(p.numel() for p in self._weights) / 1e6

    @property
    def is_stalled(self) -> bool:
        """Whether the last `patience` epochs brought no new least validation loss."""
        return self.patience is not None and self._waited >= self.patience

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch and measure; a loss that is not finite ends it at that step.

        Returns:
            The task's metrics; after divergence losses and accuracies are not finite.
        """
        self.epoch += 1
        order = torch.randperm(len(self._data.train_x), generator=self._order)
        order = order.to(self._device)
        xs, ys = self._data.train_x[order], self._data.train_y[order]
        self._model.train()
        total = 0.0
        outputs = []
        for start in range(0, len(xs), self._batch):
            x, target = xs[start : start + self._batch], ys[start : start + self._batch]
            value, output = self._step(x, target)
            if not math.isfinite(value):
                return self._metrics(value, math.nan, (math.nan, math.nan))
            self._rate = self._optimizer.param_groups[0]["lr"]
            self._scheduler.step()
            total += value * len(x)
            outputs.append(output)
        accuracy = self._accuracy(torch.cat(outputs), ys)
        return self._measure(total / len(xs), accuracy)

    def _step(self, x: torch.Tensor, target: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Take one step; loss and output before it. No step where the loss is not finite."""
        if not self._is_plain:
            return self._closure_step(x, target)
        output = self._model(x)
        loss = self._train_loss(output, target)
        value = loss.item()
        self._evaluations += 1
        if math.isfinite(value):
            for weight in self._weights:
                weight.grad = None
            torch.autograd.backward(loss)
            if self._clip_norm is not None:
                clip(self._weights, self._clip_norm)
            self._optimizer.step()
        return value, output.detach()

    def _closure_step(self, x: torch.Tensor, target: torch.Tensor) -> tuple[float, torch.Tensor]:
        outputs: list[torch.Tensor] = []

        def loss() -> torch.Tensor:
            output = self._model(x)
            outputs.append(output.detach())
            return self._train_loss(output, target)

        taken = take_step(self._optimizer, loss, self._model, self._clip_norm)
        self._evaluations += taken.evaluations
        return taken.loss.item(), outputs[0]

    def _measure(self, train_loss: float, train_accuracy: float) -> dict[str, float]:
        self._model.eval()
        with torch.no_grad():
            output = self._model(self._data.val_x)
            val_loss = self._loss(output, self._data.val_y).item()
        accuracies = (train_accuracy, self._accuracy(output, self._data.val_y))
        if not math.isfinite(val_loss):
            accuracies = (train_accuracy, math.nan)
        if val_loss < self._least:
            self._least, self._waited = val_loss, 0
        else:
            self._waited += 1
        return self._metrics(train_loss, val_loss, accuracies)

    def _metrics(
        self, train_loss: float, val_loss: float, accuracies: tuple[float, float]
    ) -> dict[str, float]:
        metrics = {"train_loss": train_loss, "val_loss": val_loss}
        if self._is_classification:
            metrics |= {"train_accuracy": accuracies[0], "val_accuracy": accuracies[1]}
        return metrics | {
            "params_million": self._params_million,
            "lr": self._rate,
            "evaluations": self._evaluations,
        }

    def _accuracy(self, output: torch.Tensor, target: torch.Tensor) -> float:
        if not self._is_classification:
            return math.nan
        return (output.argmax(1) == target).sum().item() / len(target)

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on, as tensors, numbers and plain containers."""
        state = {
            "epoch": self.epoch,
            "evaluations": self._evaluations,
            "least": self._least,
            "waited": self._waited,
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "order": self._order.get_state(),
            "random": torch.get_rng_state(),
        }
        if self._device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self._device)
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.epoch = state["epoch"]
        self._evaluations = state.get("evaluations", 0)
        self._least, self._waited = state.get("least", math.inf), state.get("waited", 0)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        self._order.set_state(state["order"].cpu())
        torch.set_rng_state(state["random"].cpu())
        if self._device.type == "cuda" and "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self._device)


def _seed(seed: int, device: torch.device) -> None:
    """Seed the generators that `_isolated` restores, and no other device's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


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
