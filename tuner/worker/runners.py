"""How a trial's work is done: a built-in task, a Python callable, a command."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from tuner.client.runner import Objective, Outcome, describe, failed, run_objective
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
            entrypoint of a task does not load, or the task's data cannot be used.
    """
    runner = job["runner"]
    if "command" in runner:
        try:
            return run_command(runner["command"], trial, float(job["grace"]))
        except TunerError as error:
            return failed(describe(error))

    if "task" in runner:
        return _run_task(runner["task"], trial)
    if "objective" in runner:
        return run_objective(find(runner), trial)
    # Found inside, so that an error of the import counts as one of the trial.
    return run_objective(lambda trial: find(runner)(trial), trial)


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


def _run_task(task: Mapping[str, Any], trial: Trial) -> Outcome:
    """Train; what keeps every trial of the task from running here is no failure of this one."""
    unusable: list[WorkerError] = []

    def objective(trial: Trial) -> Any:
        try:
            return _task(task)(trial)
        except (ObjectiveNotFound, BadData) as error:
            unusable.append(error)
            raise

    outcome = run_objective(objective, trial)
    if unusable:
        raise unusable[0]
    return outcome


def _task(task: Mapping[str, Any]) -> Objective:
    # Loads torch, and only trials of this kind need it.
    training = importlib.import_module("tuner.training")

    def objective(trial: Trial) -> Any:
        return training.run_task(task, trial)

    return objective
