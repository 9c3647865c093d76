"""The names of the weights of built-in models, and whether a task's groups find any of them.

The models themselves are built in `tuner.training`; these names are what their weights are called
there, so that a pattern that matches nothing is known before the first trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from tuner.errors import Invalid
from tuner.tasks.choices import extremes, values_of
from tuner.tasks.combinations import Parameters
from tuner.tasks.groups import GROUPS
from tuner.tasks.registry import MODELS, OPTIONS

_BOTH: Final = ("weight", "bias")
_CELL: Final = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_BLOCK: Final = (
    "attention.0",
    *(f"attention.1.{part}" for part in ("query", "key", "value", "out")),
    "mlp.0",
    "mlp.1",
    "mlp.3",
)
_SHOWN: Final = 12


def weight_names(model: str, *, depth: int, norm: bool, dropout: bool) -> list[str]:
    """The names of a built-in model's weights, in no special order.

    Args:
        model: A key of `MODELS`.
        depth: The option of that name.
        norm: Whether there is a norm before each activation.
        dropout: Whether any units are dropped.
    """
    return list(_NAMES[model](depth, norm, dropout))


def check_layers(task: Mapping[str, Any], parameters: Parameters) -> list[str]:
    """Refuse a group whose `match` finds no weight in any trial.

    Args:
        task: A checked task; its model may be one that is not known here.
        parameters: The expanded space in study-file form.

    Returns:
        Warnings of groups that find none in some of the trials, which fail then.

    Raises:
        Invalid: With the path of the pattern.
    """
    patterns = [
        (f"trial.task.{GROUPS}[{i}].match", group["match"])
        for i, group in enumerate(task.get(GROUPS, ()))
        if "match" in group
    ]
    models = list(_models(task, parameters)) if patterns else []
    said = []
    for path, pattern in patterns:
        missed = [(what, names) for what, names in models if not _finds(pattern, names)]
        if not missed:
            continue
        what, names = missed[0]
        if len(missed) == len(models):
            raise Invalid.at(
                path,
                f"{pattern!r} describes no weight of {what}.",
                found=pattern,
                allowed=names[:_SHOWN],
                hint="It is a glob over the names of weights and modules, as `*.bias` or `2`.",
            )
        said.append(f"{path}: {pattern!r} describes no weight of {what}; trials of it fail.")
    return said


def _models(task: Mapping[str, Any], parameters: Parameters) -> Iterator[tuple[str, list[str]]]:
    """Every model that trials may have, in words and by its weights; none if one is not known."""
    kinds = values_of(task, parameters, "model")
    if any(kind not in MODELS for kind in kinds):
        return
    for kind in kinds:
        depths = _of(task, parameters, "depth") if kind in OPTIONS["depth"].models else [0]
        norms = _of(task, parameters, "norm") if kind in OPTIONS["norm"].models else ["none"]
        drops = _of(task, parameters, "dropout")
        flags = [{norm != "none" for norm in norms}, {share > 0 for share in drops}]
        for depth, norm, dropout in itertools.product(depths, *map(sorted, flags)):
            words = [f"depth {depth}"] * (kind in OPTIONS["depth"].models)
            words += ["norms"] * norm + ["dropout"] * dropout
            described = f"the model {kind!r}" + (f" with {', '.join(words)}" if words else "")
            names = weight_names(kind, depth=depth, norm=norm, dropout=dropout)
            yield described, names


def _of(task: Mapping[str, Any], parameters: Parameters, name: str) -> list[Any]:
    """The values that an option may have in some trial: every integer, of a range its ends."""
    found: list[Any] = []
    for own, domain in parameters.items():
        if own.rsplit(".", 1)[-1] != name:
            continue
        bounds = [value for _, value in extremes(domain)]
        whole = domain.get("type") == "int"
        found += range(int(bounds[0]), int(bounds[1]) + 1) if whole else bounds
    if name not in parameters or parameters[name].get("when"):
        found.append(task.get(name, OPTIONS[name].default))
    return sorted(set(found))


def _finds(pattern: str, names: Iterable[str]) -> bool:
    """Whether a glob matches a weight or a module that holds one."""
    return any(
        fnmatchcase(whole, pattern)
        for name in names
        for whole in itertools.accumulate(name.split("."), "{}.{}".format)
    )


def _named(places: Iterable[object]) -> Iterator[str]:
    return (f"{place}.{name}" for place in places for name in _BOTH)


def _dense(depth: int, norm: bool, dropout: bool, start: int = 0) -> tuple[list[int], int]:
    """The places of the layers that have weights in a stack of dense ones, and where it ends."""
    places, at = [], start
    for _ in range(depth):
        places += [at, at + 1] if norm else [at]
        at += 2 + norm + dropout
    return [*places, at], at + 1


def _mlp(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    return _named(_dense(depth, norm, dropout)[0])


def _autoencoder(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    encoder, end = _dense(depth, norm, dropout)
    return _named([*encoder, *_dense(depth, norm, dropout, end)[0]])


def _cnn(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    first, second = 1, 4 + norm
    norms = [first + 1, second + 1] if norm else []
    return _named([first, second, *norms, second + 4 + norm + dropout])


def _linear(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    return iter(_BOTH)


def _recurrent(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    cells = (f"1.cells.{i}.{name}" for i in range(max(1, depth)) for name in _CELL)
    return itertools.chain(cells, _named([2]))


def _transformer(depth: int, norm: bool, dropout: bool) -> Iterator[str]:
    blocks = [f"2.blocks.{i}.{part}" for i in range(depth) for part in _BLOCK]
    return itertools.chain(["2.positions"], _named([1, *blocks, "2.norm", 3]))


_NAMES: Final[dict[str, Callable[[int, bool, bool], Iterator[str]]]] = {
    "mlp": _mlp,
    "linear": _linear,
    "cnn": _cnn,
    "rnn": _recurrent,
    "gru": _recurrent,
    "lstm": _recurrent,
    "transformer": _transformer,
    "autoencoder": _autoencoder,
}
