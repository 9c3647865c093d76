"""Whether the values that trials may take, and the layers' own settings, fit their optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tuner.core.names import OPTIMIZER
from tuner.errors import Invalid
from tuner.optimizers.entry import Optimizer
from tuner.optimizers.reach import Parameters, extremes, reach
from tuner.optimizers.registry import get

SPACE: Final = "space.parameters"
_NONE: Final[Parameters] = {}


def check_ranges(
    parameters: Mapping[str, Mapping[str, Any]],
    chosen: Iterable[str],
    path: str = SPACE,
) -> None:
    """Refuse ranges and choices that an optimizer is not defined for, as beta1 = 1.

    Args:
        parameters: The expanded space in study-file form.
        chosen: The optimizers that trials may choose; plain names are checked against all of them.
        path: Where the parameters stand in the input.

    Raises:
        Invalid: For the first such bound, choice or value.
    """
    entries = {name: get(name) for name in chosen}
    for name, domain in parameters.items():
        owner, _, plain = name.rpartition(".")
        for optimizer in [owner] if owner else entries:
            if optimizer not in entries:
                continue
            parameter = entries[optimizer].parameter(plain)
            for key, value in extremes(domain) if parameter is not None else ():
                problem = parameter.problem(value) if parameter is not None else None
                if problem is not None:
                    raise Invalid.at(
                        f"{path}.{name}.{key}",
                        f"{optimizer} is not defined at {plain} = {value!r}: {problem}.",
                        found=value if isinstance(value, bool | int | str) else repr(value),
                        allowed=problem,
                    )


def check_splits(
    task: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    chosen: Iterable[str],
    path: str = "trial.task",
    parameters: Parameters = _NONE,
) -> None:
    """Refuse to split a model among layers for an optimizer that works on all of it at once.

    Args:
        task: The study's task; its `layer_decay` and `decay_on` count.
        groups: The task's groups.
        chosen: The optimizers that trials may choose.
        path: Where the task stands in the input.
        parameters: The expanded space in study-file form.

    Raises:
        Invalid: Naming the optimizer.
    """
    names = list(chosen)
    own = [
        (f"{path}.groups[{i}].{OPTIMIZER}", g[OPTIMIZER])
        for i, g in enumerate(groups)
        if OPTIMIZER in g
    ]
    splits = [f"{path}.groups"] * bool(groups)
    found = own + [(at, name) for at in splits for name in names]
    for name in names:
        rates = reach("layer_decay", name, task, parameters, (path, SPACE))
        found += [(at, name) for at, value in rates if value != 1]
    for at, name in found:
        if get(name).whole_model:
            raise Invalid.at(
                at,
                f"{name} works on the whole model at once, so it takes no groups and no "
                "layer_decay.",
                found=name,
                hint="Leave it out of the space, or study it apart.",
            )
    for name in names:
        # Those for the whole training set have one weight decay for all; Prodigy only one rate.
        if get(name).batch == "large":
            _check_decay(name, task, parameters, path)


def _check_decay(name: str, task: Mapping[str, Any], parameters: Parameters, path: str) -> None:
    """Refuse weight decay on some weights only, for an optimizer of the whole model."""
    paths = (path, SPACE)
    given = reach("decay_on", name, task, parameters, paths)
    spared = [at for at, value in given if value == "weights"]
    decay = [at for at, value in reach("weight_decay", name, task, parameters, paths) if value > 0]
    if spared and decay:
        raise Invalid.at(
            spared[0],
            f"{name} works on the whole model at once, so its weight decay ({decay[0]}) acts on "
            "all of it.",
            found="weights",
            allowed=["all"],
            hint=f"Add `{name}.decay_on: {{type: fixed, value: all}}`, or "
            f"`{name}.weight_decay: {{type: fixed, value: 0}}`, to the space.",
        )


def check_precision(
    task: Mapping[str, Any],
    parameters: Parameters,
    chosen: Iterable[str],
    own: Iterable[str],
    gpus: float,
) -> None:
    """Refuse fewer bits than an optimizer or the trial's device computes in.

    Args:
        task: The study's task.
        parameters: The expanded space in study-file form.
        chosen: The optimizers that trials may choose.
        own: The optimizers of the task's groups.
        gpus: GPUs of a trial.

    Raises:
        Invalid: With the path of the precision.
    """
    members = list(own)
    for chief, name in [(c, n) for c in chosen for n in (c, *members)]:
        for at, precision in reach("precision", chief, task, parameters):
            allowed = _precisions(get(name))
            if precision not in allowed:
                text = f"{name} does not train in {precision}, only in {' or '.join(allowed)}."
                fixed = f"{chief}.precision: {{type: fixed, value: {allowed[-1]}}}"
                hint = f"Add `{fixed}` to the space, or leave {name} out."
            elif precision == "float16" and gpus == 0:
                text = "float16 needs a GPU, and trials of this study get none."
                hint = "Give them one, `resources: {gpus: 1}` in trial, or take bfloat16."
            else:
                continue
            raise Invalid.at(at, text, found=precision, allowed=allowed, hint=hint)


def _precisions(entry: Optimizer) -> list[str]:
    if entry.batch == "large" or entry.cost.products > 0:
        return ["float32"]
    # The factor on a float16 loss cannot change between the gradients of one step.
    some = ["float32", "bfloat16"]
    return some if entry.cost.gradients > 1 else [*some, "float16"]


def cautions(
    task: Mapping[str, Any],
    parameters: Parameters,
    chosen: Iterable[str],
    rows: int | None,
) -> list[str]:
    """What may be trained, but hardly is what was meant, a sentence each.

    Args:
        task: The study's task.
        parameters: The expanded space in study-file form.
        chosen: The optimizers that trials may choose.
        rows: Examples of the largest training set that trials may have; None: not known.
    """
    said = []
    for name in chosen:
        entry = get(name)
        sizes = reach("batch_size", name, task, parameters)
        small = [(at, size) for at, size in sizes if rows is None or size < rows]
        if entry.batch == "large" and small:
            at, size = small[0]
            whole = "" if rows is None else f" (about {rows} examples)"
            said.append(
                f"{at}: {name} is meant for the whole training set{whole}, and gets batches of "
                f"{size} here; noise misleads its curvature. Leave batch_size out, or add "
                f"`{name}.batch_size: {{type: fixed, value: 65536}}` to the space."
            )
        clipped = reach("clip_norm", name, task, parameters)
        if entry.batch == "large" and clipped:
            said.append(f"{clipped[0].path}: {name} searches along a line, so it does not clip.")
    return said
