"""The shorthand `optimizers: [...]`: which parameters it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tuner.core.names import OPTIMIZER, nearest, suggestion
from tuner.errors import Invalid, UnknownName
from tuner.optimizers.entry import LEARNING_RATE, SIZES, Size
from tuner.optimizers.registry import domain, get

# Deep Learning Tuning Playbook (google-research/tuning_playbook), on Adam: fewer than 10 trials
# tune the learning rate only; 10 to 25 add beta1; 25 and more add epsilon, and then beta2.
MEDIUM_FROM: Final = 10
LARGE_FROM: Final = 25


def size_for(trials: int | None, optimizers: int = 1) -> Size:
    """The size of search space that a budget can fill.

    Args:
        trials: The budget; None: unknown, `medium`.
        optimizers: How many optimizers share it. What counts is the share of each.

    Returns:
        `small` below 10 trials for each, `medium` below 25, else `large`.

    Source: the playbook's rule for Adam, see the module's constants.
    """
    if trials is None:
        return "medium"
    share = trials / max(1, optimizers)
    if share < MEDIUM_FROM:
        return "small"
    return "medium" if share < LARGE_FROM else "large"


def expand(
    names: Sequence[str], size: str, path: str = "space.optimizers"
) -> dict[str, dict[str, Any]]:
    """The parameters that `optimizers: names` stands for, in study-file form and in order.

    Args:
        names: Optimizers, without repeats.
        size: `small`, `medium` or `large`.
        path: Where the names stand in the input, for errors.

    Returns:
        First `optimizer` (categorical, also for a single name), then for each optimizer its
        `<optimizer>.<parameter>` with `when: {optimizer: [name]}`.

    Raises:
        UnknownName: For an optimizer or a size that does not exist.
        Invalid: For an empty list or a repeated name.
    """
    _check_names(names, path)
    chosen = _check_size(size, path)
    space: dict[str, dict[str, Any]] = {
        OPTIMIZER: {"type": "categorical", "choices": list(names), "role": OPTIMIZER}
    }
    for i, name in enumerate(names):
        entry = get(name, f"{path}[{i}]")
        for parameter in entry.parameters:
            if chosen not in parameter.sizes:
                continue
            is_rate = parameter.role == LEARNING_RATE
            space[f"{name}.{parameter.name}"] = {
                **domain(parameter),
                "when": {OPTIMIZER: [name]},
                "role": parameter.role,
                "group": name,
                "reference": entry.reference if is_rate else parameter.default,
            }
    return space


def _check_names(names: Iterable[str], path: str) -> None:
    seen: set[str] = set()
    for i, name in enumerate(names):
        get(name, f"{path}[{i}]")
        if name in seen:
            raise Invalid.at(f"{path}[{i}]", f"the optimizer {name!r} is named twice.", found=name)
        seen.add(name)
    if not seen:
        raise Invalid.at(path, "is empty; name at least one optimizer.")


def _check_size(size: str, path: str) -> Size:
    for known in SIZES:
        if size == known:
            return known
    near = nearest(size, SIZES)
    raise UnknownName.at(
        f"{path}.size",
        f"no size is named {size!r}.{suggestion(near)}",
        found=size,
        allowed=list(SIZES),
        nearest=near,
    )
