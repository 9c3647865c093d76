"""Whose turn it is in a comparison: the sampler indices of the next trials.

Index i stands for the optimizer i % n and its round i // n (see `samplers.balanced`). With a
budget of trials the indices are 0, 1, 2, …, so the optimizers take turns. With a budget of seconds
the next trial goes to the optimizer that has trained least, with the index of its own next round.
What each has used is summed up as its trials begin and end, so nothing here scans trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.lifecycle import TrialState
from tuner.core.study import StudySpec
from tuner.service.specification import size_of
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


def start(tx: Tx, study_id: int, spec: StudySpec) -> None:
    """Begin the sums of a new study, if it compares."""
    if spec.compare is not None:
        comparison.start_branches(tx, study_id, len(spec.compared))


def count_new(tx: Tx, ledger: Ledger, indices: Iterable[int]) -> None:
    """Count trials that are given out."""
    n = len(ledger.spec.compared)
    if ledger.spec.compare is not None:
        for place, made in Counter(index % n for index in indices).items():
            comparison.add_to_branch(tx, ledger.study.id, place, Branch(made=made))


def count_end(
    tx: Tx, ledger: Ledger, trial: Row[Any], state: TrialState, *, sign: int = 1
) -> None:
    """Count a trial that ends in that state; with sign -1, take one back that had ended so.

    Called while `trial.attempt` is its last attempt.
    """
    if ledger.spec.compare is None or trial.sampler_index is None:
        return
    seconds = comparison.seconds_of(tx, trial.id, trial.attempt)
    failed = int(state == TrialState.FAIL)
    comparison.add_to_branch(
        tx,
        ledger.study.id,
        trial.sampler_index % len(ledger.spec.compared),
        Branch(ended=sign, failed=sign * failed, seconds=sign * seconds),
    )


def indices(tx: Tx, ledger: Ledger, most: int) -> list[int]:
    """The sampler indices of up to `most` new trials."""
    spec = ledger.spec
    first = ledger.current("next_index")
    if spec.compare is None or spec.compare.seconds is None:
        return list(range(first, first + most))
    given: list[int] = []
    turns = _turns(tx, ledger)
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
    """End the search of a comparison by seconds that has used them, or its budget of trials."""
    spec = ledger.spec
    size = ledger.values.get("size", ledger.study.size)
    if spec.compare is None or spec.compare.seconds is None or size is not None:
        return
    if is_searched(tx, ledger):
        ledger.values["size"] = ledger.current("next_index")


def is_searched(tx: Tx, ledger: Ledger) -> bool:
    """Whether every optimizer of a comparison has had its budget (a search may be cut short)."""
    compare = ledger.spec.compare
    if compare is None:
        return False
    if compare.seconds is None:
        return int(ledger.current("next_index")) >= (size_of(ledger.spec) or 0)
    if _has_used_its_numbers(tx, ledger):
        return True
    used = comparison.branches_of(tx, ledger.study.id)
    return all(item.seconds >= compare.seconds or _is_hopeless(item) for item in used)


def _has_used_its_numbers(tx: Tx, ledger: Ledger) -> bool:
    """Whether a budget of trials leaves nothing but the confirmation of the search."""
    spec = ledger.spec
    if spec.compare is None or spec.budget.trials is None:
        return False
    replicates = comparison.replicates_ended(tx, ledger.study.id)[1]
    confirming = max(len(spec.compared) * spec.compare.seeds, replicates)
    return int(ledger.current("numbers_made")) - replicates >= spec.budget.trials - confirming


def seconds_used(tx: Tx, study: Row[Any], spec: StudySpec) -> dict[str, float]:
    """Seconds of training by optimizer, of trials that have ended."""
    used = comparison.branches_of(tx, study.id)
    return {name: round(item.seconds, 3) for name, item in zip(spec.compared, used, strict=True)}


def _turns(tx: Tx, ledger: Ledger) -> list[_Turn]:
    used = comparison.branches_of(tx, ledger.study.id)
    return [_Turn(place, item, item.made) for place, item in enumerate(used)]


def _is_hopeless(used: Branch) -> bool:
    return used.failed >= MOST_FAILURES and used.failed == used.ended
