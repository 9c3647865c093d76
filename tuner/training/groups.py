"""Which weight gets which optimizer with which values: groups, layer-wise decay, no decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tuner.core.names import MISSING, OPTIMIZER, nearest, resolve
from tuner.errors import Invalid
from tuner.optimizers.registry import get, parameter_names
from tuner.tasks.groups import LR_FACTOR, check_groups, hyperparameters

_NORMS: Final = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_DECAY: Final = "weight_decay"
_MOST_TYPES: Final = 20


@dataclass(frozen=True)
class Weight:
    """One weight of a model.

    Args:
        name: Dotted name, as `encoder.0.weight`.
        tensor: The weight.
        layer: Its layer: the name up to the first number in it, else the owner's name.
        types: Class names of the modules that hold it, base classes included.
        is_norm: Whether a norm owns it.
        is_embedding: Whether an embedding owns it.
    """

    name: str
    tensor: nn.Parameter
    layer: str
    types: frozenset[str]
    is_norm: bool
    is_embedding: bool

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix or a convolution kernel."""
        return self.tensor.dim() >= 2 and not self.is_norm

    def is_in(self, group: Mapping[str, Any]) -> bool:
        """Whether `match` and `type` of a group take it."""
        parts = self.name.split(".")
        names = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
        return (
            "match" not in group or any(fnmatchcase(name, group["match"]) for name in names)
        ) and ("type" not in group or group["type"] in self.types)


@dataclass(frozen=True)
class Assigned:
    """Weights that share an optimizer and all its values."""

    optimizer: str
    values: dict[str, Any]
    weights: Iterable[nn.Parameter]


def weights_of(model: nn.Module) -> list[Weight]:
    """All weights of a model, once each, in the order of `model.parameters()`."""
    modules = dict(model.named_modules())
    found = []
    for name, tensor in model.named_parameters():
        parts = name.split(".")[:-1]
        holders = [modules[".".join(parts[:i])] for i in range(len(parts) + 1)]
        types = {kind.__name__ for holder in holders[1:] for kind in type(holder).__mro__}
        first = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
        found.append(
            Weight(
                name,
                tensor,
                layer=".".join(parts[: first + 1]),
                types=frozenset(types - {"Module", "object"}),
                is_norm=isinstance(holders[-1], _NORMS),
                is_embedding=isinstance(holders[-1], nn.Embedding | nn.EmbeddingBag),
            )
        )
    return found


def values_of(optimizer: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's values by the rule of names, plain names counting for the chosen one only."""
    is_chosen = params.get(OPTIMIZER) == optimizer
    values: dict[str, Any] = {}
    for parameter in get(optimizer).parameters:
        value = (
            resolve(params, parameter.name)
            if is_chosen
            else params.get(f"{optimizer}.{parameter.name}", MISSING)
        )
        values[parameter.name] = parameter.otherwise if value is MISSING else value
    return values


def assign(
    model: nn.Module,
    params: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    *,
    layer_decay: float,
    decay_on: str,
) -> list[Assigned]:
    """Give every weight of the model an optimizer and its values.

    Args:
        model: The model.
        params: The trial's parameters, `optimizer` among them.
        groups: See `tuner.tasks.groups`; the first that takes a weight has it.
        layer_decay: Factor on the learning rate for each layer below the last.
        decay_on: `all`, or `weights`: no weight decay on biases and norms.

    Returns:
        In order: what has the chosen optimizer's own learning rate first.

    Raises:
        Invalid: For a group that takes nothing, or a value that is not allowed.
        UnknownName: For a key or optimizer that does not exist.
    """
    chosen = str(params[OPTIMIZER])
    read = check_groups(groups, "groups", parameter_names(), [chosen])
    weights = weights_of(model)
    taken = _taken(weights, read)
    layers = list(dict.fromkeys(weight.layer for weight in weights))
    hidden = _hidden(weights)
    made: dict[tuple[Any, ...], tuple[str, dict[str, Any], list[nn.Parameter]]] = {}
    for weight, group in zip(weights, taken, strict=True):
        optimizer, values = _values(params, None if group is None else read[group])
        if decay_on == "weights" and (weight.tensor.dim() < 2 or weight.is_norm):
            given = group is not None and _DECAY in read[group]
            values[_DECAY] = values[_DECAY] if given else 0.0
        if optimizer == "muon" and not _by_muon(weight, group, hidden):
            rest = {"lr": values["adamw_lr"], _DECAY: values[_DECAY]}
            optimizer, values = "adamw", {**values_of("adamw", params), **rest}
        values["lr"] *= layer_decay ** (len(layers) - 1 - layers.index(weight.layer))
        key = (optimizer, *sorted(values.items()))
        made.setdefault(key, (optimizer, values, []))[2].append(weight.tensor)
    base = values_of(chosen, params)["lr"]
    assigned = [Assigned(*part) for part in made.values()]
    return sorted(assigned, key=lambda a: (a.optimizer != chosen, a.values["lr"] != base))


def _taken(weights: Sequence[Weight], groups: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """For each weight its group; a group that takes nothing is refused."""
    taken = [next((i for i, g in enumerate(groups) if w.is_in(g)), None) for w in weights]
    for i, group in enumerate(groups):
        if i in taken:
            continue
        said = " and ".join(f"{key} {group[key]!r}" for key in ("match", "type") if key in group)
        if any(weight.is_in(group) for weight in weights):
            text = f"earlier groups take all that {said} describes; put it before them."
        else:
            text = f"{said} describes no layer of the model."
            if "type" in group and not any(group["type"] in weight.types for weight in weights):
                raise _no_type(f"groups[{i}]", text, group["type"], weights)
        raise Invalid.at(
            f"groups[{i}]",
            text,
            found=said,
            allowed=[weight.name for weight in weights][:50],
            hint="`match` is a glob over the names of weights and modules, `type` a module class.",
        )
    return taken


def _no_type(path: str, text: str, kind: str, weights: Sequence[Weight]) -> Invalid:
    """The error for a type that no module with weights has, with those that there are."""
    types = sorted({name for weight in weights for name in weight.types})
    near = nearest(kind, types)
    listed = ", ".join(types[:_MOST_TYPES]) + (", …" if len(types) > _MOST_TYPES else "")
    hint = f"Did you mean {near!r}? " if near else ""
    hint += f"Types of its modules that have weights: {listed}."
    return Invalid.at(path, text, found=kind, allowed=types, nearest=near, hint=hint)


def _values(
    params: Mapping[str, Any], group: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """The optimizer and its values for a group, before the layer's factor."""
    if group is None:
        return str(params[OPTIMIZER]), values_of(str(params[OPTIMIZER]), params)
    optimizer = str(group.get(OPTIMIZER, params[OPTIMIZER]))
    values = values_of(optimizer, params) | hyperparameters(group)
    factor = group.get(LR_FACTOR, 1.0)
    if "name" in group:
        searched = {name: params.get(f"{group['name']}.{name}", MISSING) for name in values}
        values |= {name: value for name, value in searched.items() if value is not MISSING}
        factor = params.get(f"{group['name']}.{LR_FACTOR}", factor)
    return optimizer, {**values, "lr": values["lr"] * factor}


def _hidden(weights: Sequence[Weight]) -> set[str]:
    """The weights that Muon takes by itself: matrices between the first and the last one.

    A model without any gives it the first one too, and a model with one matrix that one.
    """
    matrices = [w.name for w in weights if w.is_matrix and not w.is_embedding]
    has_input = any(w.is_embedding for w in weights)
    inner = matrices[:-1] if has_input else matrices[1:-1]
    return set(inner or matrices[:-1] or matrices)


def _by_muon(weight: Weight, group: int | None, hidden: set[str]) -> bool:
    """A group that names Muon gives it all its matrices; otherwise it takes hidden ones."""
    return weight.is_matrix if group is not None else weight.name in hidden
