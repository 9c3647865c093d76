"""The registry of optimizers. To add one: write its entry in a module and name it in `ENTRIES`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tuner.core.names import nearest, suggestion
from tuner.errors import UnknownName
from tuner.optimizers.adam import ADAM, ADAMW
from tuner.optimizers.adaptive import ADADELTA, ADAGRAD, RMSPROP
from tuner.optimizers.descent import GD, MOMENTUM, NESTEROV, SGD
from tuner.optimizers.entry import SIZES, Optimizer, Parameter, Scalar
from tuner.optimizers.free import PRODIGY, SCHEDULEFREE_ADAMW
from tuner.optimizers.means import ADAN, ADEMAMIX
from tuner.optimizers.preconditioned import SHAMPOO, SOAP
from tuner.optimizers.scaled import ADAFACTOR, LAMB, LION, MUON
from tuner.optimizers.second_order import ADAHESSIAN, LBFGS, NEWTON_CG
from tuner.optimizers.sharpness import SAM, SAM_ADAMW
from tuner.optimizers.variants import ADAMAX, AMSGRAD, NADAM, NADAMW, RADAM

ENTRIES: Final[dict[str, Optimizer]] = {
    entry.name: entry
    for entry in (
        *(SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, ADAGRAD, ADADELTA, GD),
        *(NADAM, NADAMW, RADAM, AMSGRAD, ADAMAX),
        *(ADAFACTOR, LION, LAMB, MUON, SAM, SAM_ADAMW),
        *(LBFGS, NEWTON_CG, ADAHESSIAN),
        *(ADAN, ADEMAMIX, SOAP, SHAMPOO, PRODIGY, SCHEDULEFREE_ADAMW),
    )
}


def names() -> list[str]:
    """The names of all optimizers, in the registry's order."""
    return list(ENTRIES)


def get(name: str, path: str = "optimizer") -> Optimizer:
    """The entry of that name.

    Args:
        name: As in study files.
        path: Where the name stands in the input, for the error.

    Raises:
        UnknownName: If there is none; it lists the known names and the nearest.
    """
    entry = ENTRIES.get(name)
    if entry is None:
        near = nearest(name, ENTRIES)
        raise UnknownName.at(
            path,
            f"no optimizer is named {name!r}.{suggestion(near)}",
            found=name,
            allowed=names(),
            nearest=near,
            hint="See `tuner optimizers list`.",
        )
    return entry


def parameter_names(optimizers: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
    """The plain parameter names of each of the optimizers (all of them without argument)."""
    chosen = names() if optimizers is None else optimizers
    return {name: tuple(p.name for p in get(name).parameters) for name in chosen}


def parameter_default(optimizer: str, name: str) -> Scalar:
    """The value of a parameter that a trial does not give.

    Raises:
        UnknownName: If the optimizer does not exist or has no such parameter.
    """
    entry = get(optimizer)
    parameter = entry.parameter(name)
    if parameter is None:
        known = [item.name for item in entry.parameters]
        near = nearest(name, known)
        raise UnknownName.at(
            f"{optimizer}.{name}",
            f"the optimizer {optimizer!r} has no parameter {name!r}.{suggestion(near)}",
            found=name,
            allowed=known,
            nearest=near,
            hint=f"See `tuner optimizers show {optimizer}`.",
        )
    return parameter.otherwise


def describe(entry: Optimizer) -> dict[str, Any]:
    """The entry as a JSON object: every option, type, range and default, with its source."""
    return {
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "formula": entry.formula,
        "paper": entry.paper,
        "cost": {
            "function_evaluations": entry.cost.functions,
            "gradient_evaluations": entry.cost.gradients,
            "hessian_vector_products": entry.cost.products,
            "state_floats_per_parameter": entry.cost.state,
            "note": entry.cost.note,
        },
        "batch": entry.batch,
        "whole_model": entry.whole_model,
        "extra": entry.extra,
        "reference_lr": {"value": entry.reference, "source": entry.reference_source},
        "sizes": {
            size: [item.name for item in entry.parameters if size in item.sizes] for size in SIZES
        },
        "parameters": [_describe_parameter(item) for item in entry.parameters],
    }


def _describe_parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "role": parameter.role,
        **domain(parameter),
        "unset": parameter.otherwise,
        "sizes": [size for size in SIZES if size in parameter.sizes],
        "source": parameter.source,
    }
    described.setdefault("prior", None)
    return described


def domain(parameter: Parameter) -> dict[str, Any]:
    """Type, range or choices, default and prior of a parameter, as in a study file."""
    if parameter.type == "categorical":
        return {
            "type": "categorical",
            "choices": list(parameter.choices),
            "default": parameter.default,
        }
    described: dict[str, Any] = {
        "type": parameter.type,
        "low": parameter.low,
        "high": parameter.high,
        "scale": parameter.scale,
        "default": parameter.default,
    }
    if parameter.prior is not None:
        described["prior"] = {"mean": parameter.prior.mean, "std": parameter.prior.std}
    return described
