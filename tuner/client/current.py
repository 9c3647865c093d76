"""The trial that this process, or this call of an objective, runs."""

from __future__ import annotations

import atexit
import os
from functools import lru_cache

from tuner.client.client import Client
from tuner.client.runner import ACTIVE
from tuner.client.trial import Trial
from tuner.core.wire import loads
from tuner.errors import Invalid, TunerError
from tuner.settings import TRIAL, TrialEnvironment, load_trial


def current_trial() -> Trial:
    """The trial that a worker runs in this process, or that `Study.optimize` runs right now.

    The same object at every call; what it has buffered is sent before the process exits.

    Raises:
        Invalid: Outside a trial, or if what the worker has set is incomplete.
    """
    active = ACTIVE.get()
    if active is not None:
        return active
    environment = load_trial()
    if environment is None:
        raise Invalid(
            f"This process runs no trial ({TRIAL} is not set).",
            hint="A worker sets it for the scripts it starts; elsewhere use study.ask().",
        )
    return _attach(environment, os.getpid())


@lru_cache(maxsize=1)
def _attach(environment: TrialEnvironment, pid: int) -> Trial:
    del pid  # part of the key: a fork has its own link to the server
    try:
        params = loads(environment.params_file.read_bytes())
    except (OSError, TunerError) as error:
        raise Invalid(
            f"The parameters in {environment.params_file} cannot be read: {error}."
        ) from error
    if not isinstance(params, dict):
        raise Invalid(f"{environment.params_file} holds no mapping of parameters.")
    if environment.store is not None:
        client = Client(database_url=environment.store, create=False)
    else:
        client = Client(environment.url, environment.token)
    trial = Trial.attach(
        client,
        environment.study,
        {
            "number": environment.number,
            "params": params,
            "lease": environment.lease,
            "user_attrs": {"replicate": environment.replicate} if environment.replicate else {},
        },
        environment.checkpoint_dir,
    )
    atexit.register(_leave, trial)
    return trial


def _leave(trial: Trial) -> None:
    """Send what waits; at the exit of a script there is nobody to tell of a failure but stderr."""
    trial.flush()
