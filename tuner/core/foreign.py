"""Studies as another tool writes them (a W&B sweep): what its keys are called here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

# any one of these is told by itself; of the others it takes two
_TELLING: Final = frozenset({"program", "method", "early_terminate", "run_cap"})
_SWEEP_KEYS: Final = _TELLING | {"metric", "parameters", "command"}
_SWEEP: Final = (
    "This looks like a W&B sweep; here metric is `objective: [val_loss, minimize]`, parameters is"
    " `space`, method is `sampler: gp`, early_terminate is `pruner: asha`, run_cap is"
    " `budget: {trials: 60}`, and program and command are"
    " `trial: {command: [python, train.py, --lr, '{lr}']}`; and a study has a `name`."
)
_RANGES: Final = frozenset({"min", "max", "values", "distribution"})
_RANGE: Final = (
    "A W&B range min, max is here `{type: float, low: 0.001, high: 0.1, log: true}` (log for"
    " log_uniform_values; type int for whole numbers), values are"
    " `{type: categorical, choices: [relu, tanh]}`, and a single value is"
    " `{type: fixed, value: 3}`."
)


def sweep_hint(unknown: Iterable[Any]) -> str:
    """What the keys of a sweep are called here; empty if the unknown keys are not those of one."""
    found = _SWEEP_KEYS.intersection(unknown)
    return _SWEEP if found & _TELLING or len(found) > 1 else ""


def range_hint(data: Mapping[Any, Any]) -> str:
    """How a sweep's range is written here; empty if the parameter has no key of one."""
    is_constant = "value" in data and "type" not in data
    return _RANGE if is_constant or not _RANGES.isdisjoint(data) else ""
