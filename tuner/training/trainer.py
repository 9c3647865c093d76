"""A model in training: steps, epochs, metrics, and the state to go on from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch

from tuner.core.names import OPTIMIZER
from tuner.optimizers.registry import get
from tuner.tasks.groups import GROUPS
from tuner.training.optimizers import build_optimizer
from tuner.training.problem import Problem
from tuner.training.replicates import BestWeights, fresh_seed
from tuner.training.schedules import NAMES as SCHEDULE
from tuner.training.schedules import build_scheduler
from tuner.training.stepping import (
    Needs,
    clip,
    evaluation_weights,
    needs,
    searches_a_line,
    take_step,
)

_NOT_CLIPPED: Final = "warning: the optimizer searches along a line, so clip_norm is not used"


class Training:
    """A model in training; `epoch` is the number of epochs done, `patience` an option of tasks.

    Args:
        options: The complete task of this trial.
        params: The trial's parameters.
        device: Where to train.
        replicate: Which repetition on a fresh seed this is; 0: none, so no test set.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        params: Mapping[str, Any],
        device: torch.device,
        replicate: int = 0,
    ) -> None:
        self.epoch = 0
        self.epochs: int = options["epochs"]
        self.patience: int | None = options.get("patience")
        self._least, self._waited = math.inf, 0
        self._device = device
        self._best = BestWeights() if replicate > 0 else None
        seed = fresh_seed(options["seed"], replicate)
        _seed(seed, device)
        self._problem = Problem(options, device, params)
        self._model, self._data = self._problem.model, self._problem.data
        self._order = torch.Generator().manual_seed(seed)
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
        self.warnings = [*self._problem.warnings, *self.warnings]
        self._clip_norm: float | None = options.get("clip_norm")
        if self._clip_norm is not None and searches_a_line(self._optimizer):
            self.warnings = [*self.warnings, _NOT_CLIPPED]
        steps = self.epochs * math.ceil(len(self._data.train_x) / self._batch)
        schedule = {name: options[name] for name in SCHEDULE if name in options}
        self._scheduler = build_scheduler(self._optimizer, schedule, steps)
        self._rate: float = self._optimizer.param_groups[0]["lr"]

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
        accuracy = self._problem.accuracy(torch.cat(outputs), ys)
        return self._measure(total / len(xs), accuracy)

    def _step(self, x: torch.Tensor, target: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Take one step; loss and output before it. No step where the loss is not finite."""
        if not self._is_plain:
            return self._closure_step(x, target)
        output = self._model(x)
        loss = self._problem.train_loss(output, target)
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
            return self._problem.train_loss(output, target)

        taken = take_step(self._optimizer, loss, self._model, self._clip_norm)
        self._evaluations += taken.evaluations
        return taken.loss.item(), outputs[0]

    def _measure(self, train_loss: float, train_accuracy: float) -> dict[str, float]:
        with evaluation_weights(self._optimizer):
            val_loss, val_accuracy = self._problem.validate()
            if self._best is not None:
                self._best.note(val_loss, self._model)
        if val_loss < self._least:
            self._least, self._waited = val_loss, 0
        else:
            self._waited += 1
        self._scheduler.observe(val_loss)
        return self._metrics(train_loss, val_loss, (train_accuracy, val_accuracy))

    def _metrics(
        self, train_loss: float, val_loss: float, accuracies: tuple[float, float]
    ) -> dict[str, float]:
        metrics = {"train_loss": train_loss, "val_loss": val_loss}
        if self._problem.is_classification:
            metrics |= {"train_accuracy": accuracies[0], "val_accuracy": accuracies[1]}
        if not math.isfinite(val_loss):
            metrics |= dict.fromkeys(self._problem.own_metrics, math.nan)
        else:
            metrics |= self._problem.own_metrics
        return metrics | {
            "params_million": self._problem.params_million,
            "lr": self._rate,
            "evaluations": self._evaluations,
        }

    @property
    def is_over(self) -> bool:
        """Whether no epoch follows by itself."""
        return self.epoch >= self.epochs or self.is_stalled

    def test(self) -> dict[str, float]:
        """The test set's metrics for the weights of the best epoch; {} but for a repetition.

        It ends the training: the model has those weights then.
        """
        return {} if self._best is None else self._best.test(self._problem)

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
        if self._best is not None:
            state["best"] = self._best.state()
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
        if self._best is not None:
            self._best.load_state(state["best"])
        self._order.set_state(state["order"].cpu())
        torch.set_rng_state(state["random"].cpu())
        if self._device.type == "cuda" and "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self._device)


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


def _seed(seed: int, device: torch.device) -> None:
    """Seed the generators that `_isolated` restores, and no other device's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
