"""`Study.optimize`: asking, running and telling, in this process or with worker processes."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import cloudpickle

from tuner.client.runner import Objective, Outcome, run_objective, settle
from tuner.core.lifecycle import Reason
from tuner.errors import Invalid, ObjectiveFailed

if TYPE_CHECKING:
    from tuner.client.study import Study
    from tuner.worker.local import LocalWorkers

Progress = Callable[[dict[str, Any]], None]
_POLL_S: Final = 0.5
logger = logging.getLogger(__name__)


def optimize_here(
    study: Study,
    objective: Objective,
    trials: int | None,
    raise_errors: bool,
    progress: Progress | None,
) -> None:
    """Run trials one after the other in this process, until there are enough or none is left.

    Raises:
        KeyboardInterrupt: On Ctrl-C; the running trial has been given back to the queue.
        ObjectiveFailed: With `raise_errors`, when a trial has failed with an error.
    """
    last_number = sum(study.refresh().counts.values()) - 1
    while trials is None or last_number + 1 < trials or not is_enough(study, trials):
        trial = study.ask()
        if trial is None:
            if is_over(study.data):
                return
            time.sleep(_POLL_S)
            continue
        last_number = max(last_number, trial.number)
        try:
            outcome = run_objective(objective, trial)
        except KeyboardInterrupt:
            trial.release(Reason.PREEMPTED, "Interrupted by Ctrl-C.")
            raise
        told = settle(outcome, trial)
        if told is not None and told["state"] == "fail":
            _warn(study.name, told)
        if progress is not None and told is not None:
            progress(told)
        if raise_errors and outcome.state == "fail" and outcome.trace is not None:
            raise _failed(study.name, trial.number, outcome)


def optimize_with_workers(
    study: Study,
    objective: Objective,
    trials: int | None,
    workers: int,
    progress: Progress | None,
) -> None:
    """Run trials in worker processes until there are enough or none is left.

    Raises:
        Invalid: If the objective cannot be sent to other processes.
        KeyboardInterrupt: On Ctrl-C; the running trials have been given back to the queue.
    """
    # Named exception to the layers: `worker` stands above `client` and is needed only here.
    from tuner.worker.local import LocalWorkers  # noqa: PLC0415

    payload = pickled(objective)
    local = LocalWorkers(study.client, study.name, slots=workers, objective=payload, trials=trials)
    shown: set[int] = set()
    failed = {trial["number"] for trial in study.trials(states=["fail"])}
    with local:
        try:
            while local.alive:
                local.join(_POLL_S)
                _show(study, shown, progress)
        except KeyboardInterrupt:
            _give_back(local)
            raise
    _show(study, shown, progress)
    for trial in study.trials(states=["fail"]):
        if trial["number"] not in failed:
            _warn(study.name, trial)
    if local.error is not None:
        raise ObjectiveFailed(f"The workers of study {study.name!r} ended: {local.error}")


def _give_back(local: LocalWorkers) -> None:
    """Let the running trials leave in order; a second Ctrl-C ends them at once."""
    local.stop("preempted")
    try:
        local.join(None)
    except KeyboardInterrupt:
        local.abort()


def is_enough(study: Study, trials: int) -> bool:
    """Whether the study has `trials` numbers and none of them waits to be run."""
    counts = study.refresh().counts
    return sum(counts.values()) >= trials and not counts.get("waiting")


def is_over(study: Mapping[str, Any]) -> bool:
    """Whether a study that gave nothing out will give nothing later on.

    A comparison still has its confirmation to come while others run the last of its search.
    """
    return study.get("compare") is None or study["state"] != "active"


def pickled(objective: Objective) -> bytes:
    """The objective for other processes; functions of `__main__` and notebooks travel by value.

    Raises:
        Invalid: If it holds something that cannot travel, saying which module to make.
    """
    try:
        content = cloudpickle.dumps(objective)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        name = getattr(objective, "__qualname__", type(objective).__name__)
        raise Invalid(
            f"The objective {name} cannot be sent to worker processes: {error}.",
            hint=f"Put it into a module, say objectives.py, that makes what it needs inside the"
            f" function, and give objectives.{name.rpartition('.')[2]}; or use workers=1.",
        ) from error
    return bytes(content)


def _show(study: Study, shown: set[int], progress: Progress | None) -> None:
    """Call `progress` once for each trial that has ended since the last look."""
    if progress is None:
        return
    for trial in study.trials(states=["complete", "pruned", "fail"]):
        if trial["number"] not in shown:
            shown.add(trial["number"])
            progress(trial)


def _warn(study: str, trial: dict[str, Any]) -> None:
    """Say that a trial failed: otherwise a mistake in the objective would end all in silence."""
    what = trial["message"] or trial["reason"]
    logger.warning("Trial %s of study %r failed: %s", trial["number"], study, what)


def _failed(study: str, number: int, outcome: Outcome) -> ObjectiveFailed:
    return ObjectiveFailed(
        f"Trial {number} of study {study!r} failed: {outcome.message}",
        hint=f"`tuner trial log {study} {number}` shows the traceback.",
    )
