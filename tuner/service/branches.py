"""Whose turn it is in a comparison: the sampler indices of the next trials.

Index i stands for the optimizer i % n and its round i // n (see `samplers.balanced`). With a
budget of trials the indices are 0, 1, 2, …, so the optimizers take turns. With a budget of seconds
the next trial goes to the optimizer that has trained least, with the index of its own next round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.study import StudySpec
from tuner.service.state import Ledger
from tuner.storage import comparison
from tuner.storage.comparison import Branch
from tuner.storage.engine import Tx

# An optimizer whose first trials all fail is given up: failing may take no time at all.
MOST_FAILURES: Final = 10


@dataclass
class _Turn:
    """One branch while turns are given out."""

    place: int
    used: Branch
    made: int

    @property
    def expected(self) -> float:
        """Seconds used, those that still run counted with the mean of those that have ended."""
        ended = self.used.ended
        mean = self.used.seconds / ended if ended else 0.0
        return self.used.seconds + (self.made - ended) * mean


def indices(tx: Tx, ledger: Ledger, most: int) -> list[int]:
    """The sampler indices of up to `most` new trials."""
    spec = ledger.spec
    first = ledger.current("next_index")
    if spec.compare is None or spec.compare.seconds is None:
        return list(range(first, first + most))
    given: list[int] = []
    turns = _turns(tx, ledger, spec)
    while len(given) < most:
        left = [t for t in turns if t.expected < spec.compare.seconds and not _is_hopeless(t.used)]
        if not left:
            break
        # of equals the one with fewer trials, then the one named first
        turn = min(left, key=lambda t: (t.expected, t.made, t.place))
        given.append(turn.made * len(turns) + turn.place)
        turn.made += 1
    return given


def close_search(tx: Tx, ledger: Ledger) -> None:
    """End the search of a comparison by seconds when every optimizer has used its own."""
    spec = ledger.spec
    size = ledger.values.get("size", ledger.study.size)
    if spec.compare is None or spec.compare.seconds is None or size is not None:
        return
    limit = spec.compare.seconds
    turns = _turns(tx, ledger, spec)
    if all(turn.used.seconds >= limit or _is_hopeless(turn.used) for turn in turns):
        ledger.values["size"] = ledger.current("next_index")


def seconds_used(tx: Tx, study: Row[Any], spec: StudySpec) -> dict[str, float]:
    """Seconds of training by optimizer, of trials that have ended."""
    used = comparison.branches(tx, study.id, len(spec.compared))
    return {name: round(used.get(i, Branch()).seconds, 3) for i, name in enumerate(spec.compared)}


def _turns(tx: Tx, ledger: Ledger, spec: StudySpec) -> list[_Turn]:
    n = len(spec.compared)
    used = comparison.branches(tx, ledger.study.id, n)
    return [_Turn(i, used.get(i, Branch()), used.get(i, Branch()).made) for i in range(n)]


def _is_hopeless(used: Branch) -> bool:
    return used.failed >= MOST_FAILURES and used.failed == used.ended
