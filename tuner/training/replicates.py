"""Confirmation trials: a finished trial again, from a fresh seed, and measured on the test set.

Only they touch the test set, once: with the weights of their best epoch, after the last one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tuner.training.problem import Problem

_SEED_BITS = 53


def replicate_of(trial: object) -> int:
    """Which repetition the trial is, from 1; 0: a trial of the search."""
    return int(getattr(trial, "replicate", 0) or 0)


def fresh_seed(seed: int, replicate: int) -> int:
    """The seed of a repetition, independent of its neighbours'; the task's own for 0."""
    if replicate == 0:
        return seed
    sequence = np.random.SeedSequence(seed, spawn_key=(replicate,))
    return int(sequence.generate_state(1, np.uint64)[0]) >> (64 - _SEED_BITS)


class BestWeights:
    """The weights with the least validation loss, to be measured on the test set."""

    def __init__(self) -> None:
        self._least = math.inf
        self._weights: dict[str, Any] | None = None

    def note(self, val_loss: float, model: torch.nn.Module) -> None:
        """Keep a copy of the model's weights and statistics where no loss was lower."""
        if val_loss < self._least:
            self._least = val_loss
            self._weights = copy.deepcopy(model.state_dict())

    def test(self, problem: Problem) -> dict[str, float]:
        """Put the weights into the model and measure it on the test set, where there are both."""
        x, y = problem.data.test_x, problem.data.test_y
        if self._weights is None or x is None or y is None:
            return {}
        problem.model.load_state_dict(self._weights)
        loss, accuracy = problem.evaluate(x, y)
        measured = {"test_loss": loss}
        return measured | ({"test_accuracy": accuracy} if problem.is_classification else {})

    def state(self) -> dict[str, Any]:
        """What `load_state` takes, for a checkpoint."""
        return {"least": self._least, "weights": self._weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._least, self._weights = state["least"], state["weights"]
