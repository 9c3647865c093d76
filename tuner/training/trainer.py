"""A model in training: steps, epochs, metrics, and the state to go on from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import torch

from tuner.core.names import OPTIMIZER
from tuner.optimizers.registry import get
from tuner.tasks.groups import GROUPS
from tuner.training.diagnostics.memory import PeakMemory
from tuner.training.diagnostics.noise import Other
from tuner.training.diagnostics.recorder import Diagnostics
from tuner.training.optimizers import build_optimizer
from tuner.training.parts import parts, weighted
from tuner.training.precision import Scaling, check_optimizer, lower
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
        memory = PeakMemory(device)
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
        precision: str = options["precision"]
        lower(self._model, precision, device)
        check_optimizer(self._optimizer, precision)
        self._scaling = Scaling(precision, device)
        self._accumulate: int = options["accumulate"]
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
        self._diagnostics = Diagnostics(
            self._model,
            self._optimizer,
            level=options["diagnostics"],
            clip_norm=None if searches_a_line(self._optimizer) else self._clip_norm,
            memory=memory,
        )
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
        self._diagnostics.start()
        order = torch.randperm(len(self._data.train_x), generator=self._order)
        order = order.to(self._device)
        xs, ys = self._data.train_x[order], self._data.train_y[order]
        self._model.train()
        total = 0.0
        outputs = []
        for start in range(0, len(xs), self._batch):
            x, target = xs[start : start + self._batch], ys[start : start + self._batch]
            other = None if len(x) == len(xs) else partial(self._other, xs, ys, start)
            value, output = self._step(x, target, other)
            if not math.isfinite(value):
                return self._metrics(value, math.nan, (math.nan, math.nan))
            self._diagnostics.after_step(value)
            self._rate = self._optimizer.param_groups[0]["lr"]
            self._scheduler.step()
            total += value * len(x)
            outputs.append(output)
        accuracy = self._problem.accuracy(torch.cat(outputs), ys)
        return self._measure(total / len(xs), accuracy)

    def _other(self, xs: torch.Tensor, ys: torch.Tensor, start: int) -> tuple[torch.Tensor, int]:
        """The loss of the epoch's next batch, after the last of its first one; and its size.

        Of a batch in parts it is the first part, so that a probe takes no more memory than a step.
        """
        after = start + self._batch if start + self._batch < len(xs) else 0
        size = math.ceil(self._batch / self._accumulate)
        x, target = xs[after : after + size], ys[after : after + size]
        return self._problem.train_loss(self._model(x), target), len(x)

    def _step(
        self, x: torch.Tensor, target: torch.Tensor, other: Other | None
    ) -> tuple[float, torch.Tensor]:
        """Take one step; loss and output before it. No step where the loss is not finite."""
        if not self._is_plain:
            return self._closure_step(x, target, other)
        self._evaluations += 1
        for weight in self._weights:
            weight.grad = None
        value, outputs = 0.0, []
        for share, some, wanted in parts(x, target, self._accumulate):
            output = self._model(some)
            loss = weighted(share, self._problem.train_loss(output, wanted))
            outputs.append(output.detach())
            value += loss.item()
            if not math.isfinite(value):
                return value, outputs[0]
            self._scaling.backward(loss)
        self._scaling.unscale(self._optimizer)
        self._diagnostics.before_step(len(x), other)
        if self._clip_norm is not None:
            clip(self._weights, self._clip_norm)
        self._scaling.step(self._optimizer)
        return value, torch.cat(outputs) if len(outputs) > 1 else outputs[0]

    def _closure_step(
        self, x: torch.Tensor, target: torch.Tensor, other: Other | None
    ) -> tuple[float, torch.Tensor]:
        outputs: list[torch.Tensor] = []

        def losses() -> Iterator[torch.Tensor]:
            for share, some, wanted in parts(x, target, self._accumulate):
                output = self._model(some)
                outputs.append(output.detach())
                yield weighted(share, self._problem.train_loss(output, wanted))

        look = partial(self._diagnostics.before_step, len(x), other)
        taken = take_step(self._optimizer, losses, self._model, self._clip_norm, look)
        self._evaluations += taken.evaluations
        first = outputs[: min(self._accumulate, len(x))]
        return taken.loss.item(), torch.cat(first) if len(first) > 1 else first[0]

    def _measure(self, train_loss: float, train_accuracy: float) -> dict[str, float]:
        with self._diagnostics.validation(), evaluation_weights(self._optimizer):
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
            **self._diagnostics.metrics(val_loss),
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
            "scaling": self._scaling.state(),
            "order": self._order.get_state(),
            "random": torch.get_rng_state(),
            "diagnostics": self._diagnostics.state_dict(),
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
        self._scaling.load_state(state.get("scaling", {}))
        if self._best is not None:
            self._best.load_state(state["best"])
        if "diagnostics" in state:
            self._diagnostics.load_state_dict(state["diagnostics"])
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
