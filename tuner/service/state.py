"""What a study's state follows from, and the bookkeeping when trials move.

Counters live on the study row and move with the trial in the same transaction, so nothing on the
way of ask, report and tell counts or scans trials. Callers hold the study's row lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from tuner.core.lifecycle import StopReason, StudyState, TrialState
from tuner.errors import StudyNotFound, TrialNotFound
from tuner.service.views import busy_seconds
from tuner.storage import events, studies, trials
from tuner.storage.engine import Tx


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
    """Whether no new number may be given out."""
    limit = ledger.values.get("budget_trials", ledger.study.budget_trials)
    if limit is not None and ledger.current("numbers_made") >= limit:
        return True
    return _is_exhausted(ledger)


def _is_exhausted(ledger: Ledger) -> bool:
    size = ledger.values.get("size", ledger.study.size)
    return size is not None and ledger.current("next_index") >= size


def closing_reason(ledger: Ledger, now: float) -> str | None:
    """Why the study gives out nothing more although numbers may be left, or None."""
    study, values = ledger.study, ledger.values
    if values.get("stopped", study.stopped):
        return "stopped"
    target = values.get("target_loss", study.target_loss)
    best = values.get("best_loss", study.best_loss)
    if target is not None and best is not None and best <= target:
        return "target reached"
    seconds = values.get("budget_seconds", study.budget_seconds)
    if seconds is not None and busy_seconds(study, now) >= seconds:
        return "budget of seconds used"
    return None


def settle(tx: Tx, ledger: Ledger) -> StudyState:
    """Write the ledger, derive the study's state from it, and tell running trials to stop.

    Returns:
        The study's state after the change.
    """
    study = ledger.study
    values = ledger.values
    for column in ledger.counts:
        values[column] = getattr(study, column) + ledger.counts[column]
    n_running = ledger.values.get("n_running", study.n_running)
    n_waiting = ledger.values.get("n_waiting", study.n_waiting)
    _track_busy(ledger, n_running, tx.now)
    closed = closing_reason(ledger, tx.now)
    spent = is_spent(ledger)
    state, reason = StudyState.ACTIVE, None
    if n_running == 0 and (closed or (spent and n_waiting == 0)):
        used = "grid exhausted" if _is_exhausted(ledger) else "budget of trials used"
        state, reason = StudyState.FINISHED, closed or used
    elif values.get("paused", study.paused):
        state = StudyState.PAUSED
    elif closed:
        reason = f"{closed}; waiting for {n_running} running trials"
    if closed and n_running:
        stop = StopReason.CANCELLED if closed == "stopped" else StopReason.BUDGET
        trials.ask_to_stop(tx, study.id, stop)
    values |= {"state": str(state), "state_reason": reason, "updated_at": tx.now}
    studies.change(tx, study.id, **values)
    if state != study.state:
        events.add(tx, study, f"study.{state}", reason=reason)
    return state


def _track_busy(ledger: Ledger, n_running: int, now: float) -> None:
    """Count the seconds in which at least one trial runs."""
    study = ledger.study
    if n_running > 0 and study.busy_since is None:
        ledger.values["busy_since"] = now
    elif n_running == 0 and study.busy_since is not None:
        ledger.values["busy_seconds"] = busy_seconds(study, now)
        ledger.values["busy_since"] = None
