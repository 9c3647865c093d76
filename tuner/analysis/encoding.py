"""Parameters as numbers in their own scale: for the surrogate, and for edges of ranges.

Not the samplers' encoding: this one never has to decode, and takes imported values out of range.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-300
_INACTIVE = 0.5


def scale_of(spec: Mapping[str, Any]) -> str:
    """`linear`, `log` or `one_minus_log`; `log: true` is `log`."""
    return str(spec.get("scale") or ("log" if spec.get("log") else "linear"))


def to_scale(value: float, scale: str) -> float:
    """A value in its scale: itself, log(x), or -log(1 - x) so that more stays more."""
    if scale == "log":
        return math.log(max(value, _TINY))
    if scale == "one_minus_log":
        return -math.log(max(1.0 - value, _TINY))
    return value


def is_numeric(spec: Mapping[str, Any]) -> bool:
    """Whether the parameter is a float or int with two different bounds."""
    return (
        spec.get("type") in ("float", "int")
        and spec.get("low") is not None
        and spec.get("high") is not None
        and spec["low"] < spec["high"]
    )


def position(value: float, spec: Mapping[str, Any]) -> float:
    """Where in its range a value lies, in the parameter's scale: 0 at `low`, 1 at `high`."""
    scale = scale_of(spec)
    low, high = to_scale(spec["low"], scale), to_scale(spec["high"], scale)
    return (to_scale(value, scale) - low) / (high - low)


@dataclass(frozen=True)
class Column:
    """One parameter as the surrogate sees it.

    Args:
        name: The parameter.
        index: Its columns of the matrix (one, or one per choice).
        active: In which trials it is active, shape (n,).
        varies: Whether it takes more than one value where it is active.
    """

    name: str
    index: slice
    active: NDArray[np.bool_]
    varies: bool


def encode(
    parameters: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.float32], list[Column]]:
    """Encode trials' parameters.

    Numbers become their position in the range, categories one column a choice. An inactive
    parameter stands in the middle (no choice: all zeros), so that its absence carries as little
    as possible of what its parent already says.

    Args:
        parameters: The expanded space's parameters; `fixed` ones are left out.
        rows: The trials' `params`.

    Returns:
        The matrix, shape (n, columns), and what its columns mean.
    """
    blocks: list[NDArray[np.float32]] = []
    columns: list[Column] = []
    width = 0
    for name, spec in parameters.items():
        if spec.get("type") == "fixed":
            continue
        active = np.array([row.get(name) is not None for row in rows], dtype=bool)
        keys = {json.dumps(row[name]) for row, on in zip(rows, active, strict=True) if on}
        block = (
            _numbers(name, spec, rows) if is_numeric(spec) else _choices(name, rows, sorted(keys))
        )
        columns.append(Column(name, slice(width, width + block.shape[1]), active, len(keys) > 1))
        blocks.append(block)
        width += block.shape[1]
    if not blocks:
        return np.zeros((len(rows), 0), dtype=np.float32), []
    return np.hstack(blocks), columns


def _numbers(
    name: str, spec: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> NDArray[np.float32]:
    values = [
        _INACTIVE if row.get(name) is None else position(float(row[name]), spec) for row in rows
    ]
    return np.clip(np.array(values, dtype=np.float32), -1.0, 2.0).reshape(-1, 1)


def _choices(
    name: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> NDArray[np.float32]:
    # typed: 1, true and "1" are different choices
    place = {key: i for i, key in enumerate(keys)}
    block = np.zeros((len(rows), len(keys)), dtype=np.float32)
    for i, row in enumerate(rows):
        if row.get(name) is not None:
            block[i, place[json.dumps(row[name])]] = 1.0
    return block
