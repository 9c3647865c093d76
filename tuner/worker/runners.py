"""How a trial's work is done: a built-in task, a Python callable, a command."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from tuner.client.runner import (
    Objective,
    Outcome,
    describe,
    failed,
    is_out_of_memory,
    run_objective,
)
from tuner.client.trial import Trial
from tuner.core import entrypoint
from tuner.errors import BadData, ObjectiveNotFound, TunerError, WorkerError
from tuner.worker.command import run_command


def run(job: Mapping[str, Any], trial: Trial) -> Outcome:
    """Run the job's runner to its end.

    Args:
        job: `runner` is `{"task": …}`, `{"python": "module:function"}`, `{"command": […]}` or
            `{"objective": FILE}` with a cloudpickled callable; `grace` is for commands.
        trial: The trial to report to.

    Raises:
        WorkerError: If no trial of the runner can run in this process: a pickled callable or an
            entrypoint does not load, a program is not there, or a task's data cannot be used.
    """
    runner = job["runner"]
    if "command" in runner:
        try:
            return run_command(runner["command"], trial, float(job["grace"]))
        except WorkerError:
            raise
        except TunerError as error:
            return failed(describe(error))
    if "task" in runner:
        return _run_task(runner["task"], trial)
    if "objective" in runner:
        return run_objective(find(runner), trial)
    return _run_python(runner, trial)


def find(runner: Mapping[str, Any]) -> Objective:
    """The callable of a runner that is no command.

    Raises:
        ObjectiveNotFound: If it does not import, or there is no such callable.
    """
    if "task" in runner:
        return _task(runner["task"])
    if "python" in runner:
        return entrypoint.load(runner["python"])
    try:
        objective: Objective = cloudpickle.loads(Path(runner["objective"]).read_bytes())
    except (OSError, ImportError, AttributeError, pickle.UnpicklingError) as error:
        raise ObjectiveNotFound(
            f"The objective does not load in a worker process: {error}.",
            hint="Put it into a module that the worker can import.",
        ) from error
    return objective


def _run_python(runner: Mapping[str, Any], trial: Trial) -> Outcome:
    """Import and call; what the module raises is the machine's matter, unless memory ran out."""
    unusable: list[WorkerError] = []

    def objective(trial: Trial) -> Any:
        # Found inside, so that the module may ask for the trial that it is imported for.
        try:
            found = find(runner)
        except ObjectiveNotFound as error:
            if error.__cause__ is not None and is_out_of_memory(error.__cause__):
                raise error.__cause__ from None
            unusable.append(error)
            raise
        return found(trial)

    return _unless(unusable, run_objective(objective, trial))


def _unless(unusable: Sequence[WorkerError], outcome: Outcome) -> Outcome:
    """The outcome, unless no trial can run here; the traceback stays in the trial's log."""
    if not unusable:
        return outcome
    if outcome.trace:
        with contextlib.suppress(OSError):  # a full disk must not cost the reason
            sys.stderr.write(outcome.trace)
    raise unusable[0]


def _run_task(task: Mapping[str, Any], trial: Trial) -> Outcome:
    """Train; what keeps every trial of the task from running here is no failure of this one."""
    unusable: list[WorkerError] = []

    def objective(trial: Trial) -> Any:
        try:
            return _task(task)(trial)
        except (ObjectiveNotFound, BadData) as error:
            unusable.append(error)
            raise

    return _unless(unusable, run_objective(objective, trial))


def _task(task: Mapping[str, Any]) -> Objective:
    # Loads torch, and only trials of this kind need it.
    training = importlib.import_module("tuner.training")

    def objective(trial: Trial) -> Any:
        return training.run_task(task, trial)

    return objective
