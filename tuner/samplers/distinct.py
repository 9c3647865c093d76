"""No setting twice: another one where a model proposes what was tried already."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Final

from tuner.core.space import Params, Space
from tuner.errors import InvalidSpace
from tuner.samplers.base import Request, generator
from tuner.samplers.encoding import count, key
from tuner.samplers.random_search import draw
from tuner.samplers.tree import Axis, Tree, lattice, listed

DRAWS: Final = 50
MAX_SCAN: Final = 100_000


def seen(request: Request) -> set[tuple[Any, ...]]:
    """The identities of all finished and pending trials."""
    finished = {key(item.params) for item in request.history}
    return finished | {key(params) for params in request.pending}


def unseen(request: Request, params: Params, known: Set[tuple[Any, ...]]) -> Params:
    """`params`, or if it is known a random setting that is not.

    Random draws come first; where they fail and the space has at most `MAX_SCAN` settings, all of
    them are looked through from a random place on. If nothing unseen remains, `params`.

    Args:
        request: What to complete; its index and seed give the random numbers.
        params: The proposal.
        known: Identities to avoid, from `seen`.
    """
    if key(params) not in known:
        return params
    for attempt in range(DRAWS):
        other = draw(
            request.space, request.seed, request.index, f"unseen {attempt}", request.fixed
        )
        if key(other) not in known:
            return other
    tree = _finite(request.space, request.fixed)
    if tree is not None and tree.size <= MAX_SCAN:
        start = int(generator(request.seed, request.index, "unseen").integers(tree.size))
        for i in range(tree.size):
            other = tree.point((start + i) % tree.size)
            if key(other) not in known:
                return other
    return params


def _finite(space: Space, fixed: Params) -> Tree | None:
    """All settings, if every parameter is discrete."""
    axes: dict[str, Axis] = {}
    for name, parameter in space.parameters.items():
        n = count(parameter)
        if name in fixed:
            axes[name] = listed([fixed[name]])
        elif n is None:
            return None
        else:
            axes[name] = lattice(parameter, n)
    try:
        return Tree(space, axes)
    except InvalidSpace:
        return None
