"""Running an objective: what it returns or raises, as the outcome of a trial.

Nothing here knows about processes; the worker's child and `Study.optimize` share it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

from tuner.client.reporter import LEASE_LOST
from tuner.client.trial import Trial, read_value
from tuner.core.lifecycle import END_AFTER_STOP, Reason, StopReason, TrialState
from tuner.errors import InvalidMetric, LeaseLost, TrialStopped

Objective = Callable[[Trial], Any]
ACTIVE: Final[ContextVar[Trial | None]] = ContextVar("tuner_active_trial", default=None)
_MAX_MESSAGE: Final = 1000
_MAX_TRACE: Final = 100_000


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, as plain data.

    Args:
        action: `tell` the state, `release` the trial by the reason, or send `nothing`.
        state: For `tell`: `complete`, `pruned` or `fail`.
        values: For `tell` of `complete`: values by metric; None for what was reported.
        reason: For `tell` of `fail` and for `release`.
        message: A line for people.
        trace: A traceback for the trial's log.
    """

    action: Literal["tell", "release", "nothing"]
    state: Literal["complete", "pruned", "fail"] | None = None
    values: dict[str, float] | None = None
    reason: str | None = None
    message: str | None = None
    trace: str | None = None


def run_objective(objective: Objective, trial: Trial) -> Outcome:
    """Call the objective and say what its end means.

    A float, a mapping or None ends the trial `complete` (None: with what was reported); returning
    after a stop was seen, or raising `TrialStopped`, ends it by the stop's reason; any exception
    ends it `fail`. KeyboardInterrupt passes.

    Args:
        objective: Called with the trial.
        trial: Stays open; `settle` sends the outcome.
    """
    token = ACTIVE.set(trial)
    try:
        result = objective(trial)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  whatever user code raises ends its own trial
        return _raised(error, trial)
    finally:
        ACTIVE.reset(token)
    if trial.seen_reason is not None:
        return stopped(trial.seen_reason)
    if trial.stop_reason == LEASE_LOST:
        return stopped(LEASE_LOST)
    return _returned(result, trial)


def settle(outcome: Outcome, trial: Trial) -> dict[str, Any] | None:
    """Send an outcome; the trial as it stands then, or None if nothing is to be sent.

    Raises:
        Unavailable: If the server cannot be reached; settling again is right.
    """
    if outcome.trace:
        trial.log(outcome.trace)
    try:
        if outcome.action == "release":
            return trial.release(outcome.reason or Reason.PREEMPTED, outcome.message)
        if outcome.action == "tell":
            return _tell(outcome, trial)
    except LeaseLost:
        pass
    trial.abandon()
    return None


def stopped(reason: str) -> Outcome:
    """The outcome of a trial that left because it was asked to."""
    stop = StopReason(reason)
    end = END_AFTER_STOP[stop]
    if stop is StopReason.LEASE_LOST:
        return Outcome("nothing", message="The lease was lost.")
    if end is None:
        return Outcome("release", reason=Reason.PREEMPTED, message=f"Stopped: {reason}.")
    if end is TrialState.FAIL:
        return Outcome("tell", "fail", reason=Reason.CANCELLED)
    return Outcome("tell", "pruned")


def failed(message: str, reason: str = Reason.ERROR, trace: str | None = None) -> Outcome:
    """The outcome of a trial that broke."""
    return Outcome("tell", "fail", None, str(reason), message[:_MAX_MESSAGE], trace)


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}"[:_MAX_MESSAGE] if text else kind


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of host or device, ran out; torch is recognised without importing it."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"}:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "not enough memory" in text
    )


def _raised(error: BaseException, trial: Trial) -> Outcome:
    if isinstance(error, TrialStopped):
        return stopped(trial.seen_reason or trial.stop_reason or _known(error.reason))
    if isinstance(error, LeaseLost) or trial.stop_reason == LEASE_LOST:
        return stopped(LEASE_LOST)
    if isinstance(error, SystemExit):
        if trial.seen_reason is not None:
            return stopped(trial.seen_reason)
        return failed(f"The objective called sys.exit({error.code!r}).")
    reason = Reason.OOM if is_out_of_memory(error) else Reason.ERROR
    return failed(describe(error), reason, _trace(error))


def _returned(result: Any, trial: Trial) -> Outcome:
    if result is None:
        return Outcome("tell", "complete")
    try:
        if isinstance(result, Mapping):
            values = {str(name): read_value(str(name), item) for name, item in result.items()}
            return Outcome("tell", "complete", values)
        given = list(result) if isinstance(result, list | tuple) else [result]
        if len(given) == len(trial.metrics):
            pairs = zip(trial.metrics, given, strict=True)
            values = {name: read_value(name, item) for name, item in pairs}
            return Outcome("tell", "complete", values)
    except InvalidMetric:
        pass
    wanted = "a number" if len(trial.metrics) == 1 else f"{len(trial.metrics)} numbers"
    return failed(
        f"The objective returned {type(result).__name__} {str(result)[:60]!r}; expected {wanted},"
        f" a mapping of metrics ({', '.join(trial.metrics)}) to numbers, or None."
    )


def _tell(outcome: Outcome, trial: Trial) -> dict[str, Any]:
    state = outcome.state or "fail"
    try:
        return trial.tell(outcome.values, state, reason=outcome.reason, message=outcome.message)
    except InvalidMetric as error:
        if state != "complete":
            raise
        # Nothing was told, and what was reported is not the objective.
        return trial.tell(None, "fail", reason=Reason.NO_RESULT, message=error.message)


def _trace(error: BaseException) -> str:
    """The traceback without this module's frame."""
    own = error.__traceback__
    inner = own.tb_next if own is not None else None
    lines = traceback.format_exception(type(error), error, inner)
    return "".join(lines)[-_MAX_TRACE:]


def _known(reason: str) -> str:
    """A reason that a TrialStopped carries; pruned if it is none of ours."""
    return reason if reason in {str(known) for known in StopReason} else StopReason.PRUNED
