"""What a study's state follows from, and the bookkeeping when trials move (see `settling`).

Counters live on the study row and move with the trial in the same transaction, so nothing on the
way of ask, report and tell counts or scans trials. Callers hold the study's row lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.lifecycle import TrialState
from tuner.core.study import StudySpec
from tuner.core.wire import dumps
from tuner.errors import StudyNotFound, TrialNotFound
from tuner.service.specification import size_of, spec_of
from tuner.service.views import busy_seconds
from tuner.storage import studies, trials
from tuner.storage.engine import Tx

STOPPED: Final = "stopped"
TARGET_REACHED: Final = "target reached"
SECONDS_USED: Final = "budget of seconds used"


def study_of(tx: Tx, name: str, *, lock: bool = False) -> Row[Any]:
    """The study of that name.

    Raises:
        StudyNotFound: If there is none.
    """
    row = studies.find(tx, name, lock=lock)
    if row is None:
        raise StudyNotFound(
            f"There is no study {name!r}.", hint="List them with: tuner study list"
        )
    return row


def trial_of(tx: Tx, study: Row[Any], number: int, *, lock: bool = False) -> Row[Any]:
    """The trial of that number.

    Raises:
        TrialNotFound: If there is none.
    """
    row = trials.find(tx, study.id, number, lock=lock)
    if row is None:
        raise no_trial(study.name, number)
    return row


def no_trial(study: str, number: int) -> TrialNotFound:
    """The error for a number that was not given out."""
    return TrialNotFound(
        f"Study {study!r} has no trial {number}.",
        hint=f"List them with: tuner study trials {study}",
    )


@dataclass
class Ledger:
    """The changes of one transaction to a study, written once by `settle`."""

    study: Row[Any]
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> StudySpec:
        """The specification with the changes so far."""
        return spec_of(self.values.get("spec", self.study.spec))

    def change_budget(self, numbers: int) -> None:
        """Set `budget.trials`, in the specification too."""
        data = self.spec.to_json()
        data["budget"] = {**data["budget"], "trials": numbers}
        self.values |= {"spec": dumps(data), "budget_trials": numbers}

    def current(self, column: str) -> Any:
        """A column with the changes so far."""
        if column in self.values:
            return self.values[column]
        return getattr(self.study, column) + self.counts.get(column, 0)

    def move(self, old: TrialState | None, new: TrialState) -> None:
        """A trial went from `old` (None: it is new) to `new`."""
        if old is not None:
            self.add(f"n_{old}", -1)
        self.add(f"n_{new}", 1)

    def add(self, column: str, amount: int) -> None:
        """Change a counter."""
        self.counts[column] = self.counts.get(column, 0) + amount

    def next_result(self) -> int:
        """The place of the trial that ends now in the order of results."""
        self.add("results", 1)
        return int(self.current("results"))


def is_spent(ledger: Ledger) -> bool:
    """Whether no new number may be given out.

    The search of a comparison by trials has its own size; the budget holds its confirmation too.
    """
    if size_of(ledger.spec) is not None:
        return is_exhausted(ledger)
    left = numbers_left(ledger)
    return (left is not None and left <= 0) or is_exhausted(ledger)


def numbers_left(ledger: Ledger) -> int | None:
    """How many numbers the budget of trials still has for the sampler; None: without a limit.

    A comparison by seconds keeps those of its confirmation back until its search is over.
    """
    limit = ledger.values.get("budget_trials", ledger.study.budget_trials)
    return None if limit is None else int(limit - ledger.current("numbers_made") - kept(ledger))


def kept(ledger: Ledger) -> int:
    """Numbers for the confirmation of a comparison by seconds whose search is not over."""
    spec = ledger.spec
    size = ledger.values.get("size", ledger.study.size)
    if spec.compare is None or spec.compare.seconds is None or size is not None:
        return 0
    return len(spec.compared) * spec.compare.seeds


def is_exhausted(ledger: Ledger) -> bool:
    """Whether the sampler has given all its suggestions."""
    size = ledger.values.get("size", ledger.study.size)
    return size is not None and ledger.current("next_index") >= size


def closing_reason(ledger: Ledger, now: float) -> str | None:
    """Why the study gives out nothing more although numbers may be left, or None."""
    study, values = ledger.study, ledger.values
    if values.get("stopped", study.stopped):
        return STOPPED
    target = values.get("target_loss", study.target_loss)
    best = values.get("best_loss", study.best_loss)
    if target is not None and best is not None and best <= target:
        return TARGET_REACHED
    seconds = values.get("budget_seconds", study.budget_seconds)
    if seconds is not None and busy_seconds(study, now) >= seconds:
        return SECONDS_USED
    return None
