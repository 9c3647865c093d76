"""What a recommendation starts from: architecture, data size, batch, resources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tuner.core.names import nearest, suggestion
from tuner.errors import Invalid, UnknownName

# rnn, gru and lstm are one kind of model here.
MODELS: Final = (
    "mlp",
    "cnn",
    "rnn",
    "gru",
    "lstm",
    "transformer",
    "linear",
    "autoencoder",
    "other",
)
RECURRENT: Final = frozenset({"rnn", "gru", "lstm"})
DEFAULT_BATCH: Final = 64
_MOST: Final = 1e15
_KEYS: Final = ("model", "dataset", "examples", "params", "batch", "trials", "seconds", "gpus")


@dataclass(frozen=True)
class Situation:
    """One training problem and what may be spent on it.

    Args:
        model: One of `MODELS`.
        examples: Training examples; None: unknown.
        params: Trainable weights; None: unknown.
        batch: Examples a step; None: the whole training set.
        trials: Trials over all optimizers; None: unknown.
        seconds: Seconds of training over all optimizers; None: unknown.
        gpus: GPUs of one trial.
        dataset: A built-in data set, if it is one.
    """

    model: str
    examples: int | None = None
    params: float | None = None
    batch: int | None = DEFAULT_BATCH
    trials: int | None = None
    seconds: float | None = None
    gpus: float = 0.0
    dataset: str | None = None

    @property
    def is_full_batch(self) -> bool:
        """Whether every step takes the whole training set."""
        return self.batch is None or (self.examples is not None and self.batch >= self.examples)

    @property
    def weights(self) -> float:
        """Trainable weights; 0 where unknown."""
        return self.params or 0.0


def read(given: Mapping[str, Any]) -> Situation:
    """A situation from the texts and numbers of a command line or a query.

    Args:
        given: Any of the fields of `Situation`; None counts as absent. `batch` may be `full`.

    Raises:
        UnknownName: For a key or a model that does not exist, with the nearest.
        Invalid: For a number out of range, or a missing model.
    """
    values = {key: value for key, value in given.items() if value is not None}
    for key in values:
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            text = f"is not known here.{suggestion(near)}"
            raise UnknownName.at(key, text, allowed=list(_KEYS), nearest=near)
    model = values.get("model")
    if model is None:
        raise Invalid.at("model", "is missing.", allowed=list(MODELS))
    if model not in MODELS:
        near = nearest(str(model), MODELS)
        raise UnknownName.at(
            "model",
            f"no architecture is named {str(model)[:80]!r}; known: {', '.join(MODELS)}."
            + suggestion(near),
            found=str(model)[:80],
            allowed=list(MODELS),
            nearest=near,
        )
    batch = values.get("batch", DEFAULT_BATCH)
    return Situation(
        model=str(model),
        examples=_whole("examples", values),
        params=_real("params", values),
        batch=None if batch == "full" else _whole("batch", {"batch": batch}),
        trials=_whole("trials", values),
        seconds=_real("seconds", values),
        gpus=_real("gpus", values) or 0.0,
        dataset=values.get("dataset"),
    )


def _whole(key: str, values: Mapping[str, Any]) -> int | None:
    if key not in values:
        return None
    found = _number(values[key])
    if not (1 <= found <= _MOST and found.is_integer()):
        allowed = "a whole number from 1" + (", or full" if key == "batch" else "")
        raise Invalid.at(key, f"expected {allowed}.", found=str(values[key])[:80], allowed=allowed)
    return int(found)


def _real(key: str, values: Mapping[str, Any]) -> float | None:
    if key not in values:
        return None
    found = _number(values[key])
    is_above = found >= 0 if key == "gpus" else found > 0
    if not (is_above and found <= _MOST):
        allowed = "a number from 0" if key == "gpus" else "a number above 0"
        raise Invalid.at(key, f"expected {allowed}.", found=str(values[key])[:80], allowed=allowed)
    return found


def _number(value: Any) -> float:
    """The number that a text or a number stands for; NaN, which no bound admits, if it is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan
