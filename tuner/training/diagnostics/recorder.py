"""Diagnostics of a training, epoch by epoch: what the built-in loop records, and any loop can.

They never change a training: weights and losses are the same bit for bit with and without them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from tuner.errors import Invalid
from tuner.tasks.metrics import LEVELS
from tuner.training.diagnostics import noise, updates
from tuner.training.diagnostics.memory import PeakMemory
from tuner.training.diagnostics.noise import NoiseScale, Other
from tuner.training.diagnostics.series import Lengths, Losses, mean, norms, quantile
from tuner.training.diagnostics.spikes import LossSpikes
from tuner.training.diagnostics.units import DeadUnits
from tuner.training.diagnostics.updates import UpdateRatios


class Diagnostics:
    """Records gradients, updates, spikes, dead units, time and memory of a training.

        diagnostics = Diagnostics(model, optimizer)
        for epoch in range(1, epochs + 1):
            for x, y in batches:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                diagnostics.before_step(len(x))
                optimizer.step()
                diagnostics.after_step(loss)
            with diagnostics.validation():
                val_loss = evaluate(model)
            trial.report(epoch, val_loss=val_loss, **diagnostics.metrics(val_loss))

    The metrics are those of the built-in tasks, by the same names (docs/training-tasks.md).
    Mixed precision: call `before_step` when the gradients are unscaled.

    Args:
        model: The model.
        optimizer: Any optimizer of its weights.
        level: `none` (progress and time only), `basic`, or `full`: one update ratio per layer too.
        clip_norm: The length to which gradients are clipped after `before_step`, if they are.
        memory: From before the model was made; else memory is counted from here on.

    Raises:
        Invalid: If the optimizer has none of the model's weights, or the level does not exist.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        level: str = "basic",
        clip_norm: float | None = None,
        memory: PeakMemory | None = None,
    ) -> None:
        trained = {id(w) for group in optimizer.param_groups for w in group["params"]}
        weights = {n: w for n, w in model.named_parameters() if id(w) in trained}
        if not weights:
            raise Invalid.at("optimizer", "has none of the model's weights.")
        if level not in LEVELS:
            raise Invalid.at("level", f"found {level!r}.", found=level, allowed=list(LEVELS))
        self._level, self._clip_norm = level, clip_norm
        self._weights = list(weights.values())
        self._updates = UpdateRatios(weights)
        self._noise = NoiseScale(model, self._weights)
        self._units = DeadUnits(model)
        self._spikes = LossSpikes()
        self._memory = memory or PeakMemory(self._weights[0].device)
        self._steps, self._seconds = 0, 0.0
        self._best, self._best_step = math.inf, 0
        self._pending: list[torch.Tensor] | None = None
        self._reset()

    def start(self) -> None:
        """Start the epoch's clock; else it has run since the last `metrics`."""
        self._started_at = self._stopped_at = time.perf_counter()

    def before_step(self, examples: int = 0, other: Other | None = None) -> None:
        """Look at the gradients and weights, after the backward pass and before any clipping.

        Args:
            examples: Of this step's mini-batch, for the throughput.
            other: Computes the mean loss of another mini-batch of the epoch, with its graph, and
                gives the number of its examples too. It is called every 32nd step, for the noise
                scale, in a state that is put back: torch's random numbers and the model's buffers.
        """
        self._pending, self._pending_examples = None, examples
        if self._level == "none":
            return
        gradients = [g for w in self._weights if (g := w.grad) is not None]
        if not gradients:
            return
        self._pending = norms(gradients)
        if self._epoch_steps % updates.EVERY == 0:
            self._updates.before()
        if other is not None and examples and self._steps % noise.EVERY == noise.EVERY // 2:
            self._noise.probe(examples, other)

    def after_step(self, loss: float | torch.Tensor) -> None:
        """Look at what the step did.

        Args:
            loss: Before the step.
        """
        self._stopped_at = time.perf_counter()
        self._steps += 1
        self._epoch_steps += 1
        self._examples += self._pending_examples
        if self._level == "none":
            return
        self._losses.append(loss)
        if self._pending is not None:
            self._norms.append(self._pending)
            self._pending = None
        self._updates.after()

    @contextmanager
    def validation(self) -> Iterator[None]:
        """The block in which the model sees the whole validation set; the clock stands still."""
        self._stopped_at = time.perf_counter()
        if self._level == "none":
            yield
            return
        with self._units.watching():
            yield

    def metrics(self, val_loss: float | None = None) -> dict[str, float]:
        """The epoch's metrics; the next epoch begins.

        Args:
            val_loss: What `best_step` goes by; without it there is none.
        """
        seconds = self._stopped_at - self._started_at
        self._seconds += seconds
        metrics: dict[str, float] = {"steps": self._steps, "seconds": self._seconds}
        if self._examples and seconds > 0:
            metrics["examples_per_second"] = self._examples / seconds
        if val_loss is not None:
            if val_loss < self._best:
                self._best, self._best_step = val_loss, self._steps
            metrics["best_step"] = self._best_step
        if self._level != "none":
            metrics |= self._figures()
        self._reset()
        return metrics

    def _figures(self) -> dict[str, float]:
        lengths, ratios = self._norms.values(), self._updates.take()
        self._spikes.take(self._losses.values())
        limit = math.inf if self._clip_norm is None else self._clip_norm
        figures = {
            "grad_norm": mean(lengths),
            "grad_norm_max": quantile(lengths, 1.0),
            "grad_norm_p90": quantile(lengths, 0.9),
            "clipped_share": mean([float(length > limit) for length in lengths]),
            "update_ratio": updates.median(ratios),
            "loss_spikes": self._spikes.count,
            "peak_memory_mb": self._memory.megabytes(),
        }
        sometimes = {"grad_noise_scale": self._noise.value(), "dead_units": self._units.take()}
        figures |= {name: value for name, value in sometimes.items() if value is not None}
        return figures | (updates.per_layer(ratios) if self._level == "full" else {})

    def _reset(self) -> None:
        """Begin an epoch."""
        self._epoch_steps = self._examples = self._pending_examples = 0
        self._pending = None
        self._norms, self._losses = Lengths(), Losses()
        self.start()

    def state_dict(self) -> dict[str, Any]:
        """What the next epochs' metrics depend on, as numbers and plain containers."""
        return {
            "steps": self._steps,
            "seconds": self._seconds,
            "best": self._best,
            "best_step": self._best_step,
            "noise": self._noise.state(),
            "spikes": self._spikes.state(),
            "memory": self._memory.megabytes(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._steps, self._seconds = state["steps"], state["seconds"]
        self._best, self._best_step = state["best"], state["best_step"]
        self._noise.load(state["noise"])
        self._spikes.load(state["spikes"])
        self._memory.load(state["memory"])
