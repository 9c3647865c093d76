"""The first trials of model-based samplers: what is known to be good, one per branch.

A branch is a combination of values of the categorical parameters that stand at the top and that
others hang on: for the optimizer shorthand, one per optimizer.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Final

from tuner.core.parameter import CategoricalParameter, Scalar, same
from tuner.core.space import Params, Space, default_value

MAX_COMBINATIONS: Final = 12
MAX_BRANCHES: Final = 64


def default_trials(space: Space) -> list[Params]:
    """One trial of defaults per branch, the first declared parent changing fastest.

    Where more than `MAX_COMBINATIONS` branches exist, each value of each parent appears once with
    the other parents at their defaults (at most `MAX_BRANCHES` trials): a product of several
    parents would use up the budget.
    """
    parents = {name: _choices(p) for name, p in _top_parents(space).items()}
    if prod(len(values) for values in parents.values()) <= MAX_COMBINATIONS:
        slowest_first = list(reversed(parents.items()))
        combinations = [
            dict(zip((name for name, _ in slowest_first), values, strict=True))
            for values in product(*(values for _, values in slowest_first))
        ]
    else:
        combinations = [{}]
        for name, values in parents.items():
            combinations += [{name: value} for value in values[1:]]
    return [space.defaults(chosen) for chosen in combinations[:MAX_BRANCHES]]


def _top_parents(space: Space) -> dict[str, CategoricalParameter]:
    return {
        name: parameter
        for name, parameter in space.parameters.items()
        if isinstance(parameter, CategoricalParameter)
        and not parameter.when
        and space.children[name]
    }


def _choices(parameter: CategoricalParameter) -> list[Scalar]:
    """The choices with the default first."""
    first = default_value(parameter)
    return [first, *(choice for choice in parameter.choices if not same(choice, first))]
