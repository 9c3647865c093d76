"""A look at a task's files and code before its first trial: what no setting could train."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch

from tuner.core.allow import entrypoints
from tuner.core.entrypoint import load
from tuner.errors import BadData, Invalid, ObjectiveNotFound, TunerError
from tuner.training.loop import effective_options
from tuner.training.trainer import Training

logger = logging.getLogger(__name__)
_CPU: Final = torch.device("cpu")
_TASK: Final = "trial.task"


def check(task: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a task whose code does not import, or that no trial could begin to train.

    A trial is prepared as a worker would, on the CPU, up to its first step. What a setting of its
    own makes wrong is no reason to refuse, so all of `settings` have to fail in a way that is
    known to be a mistake; code that raises may need what only its trials have, and is logged.

    Args:
        task: A checked task.
        settings: Parameters of trials to try, in order, until one can be trained.

    Raises:
        BadData: With the path of the file or entrypoint.
        Invalid: What the first setting made wrong.
    """
    for key, entrypoint in entrypoints(task).items():
        path = f"{_TASK}.{key}"
        try:
            load(entrypoint)
        except ObjectiveNotFound as error:
            raise BadData.at(path, error.message, found=entrypoint, hint=error.hint) from error
    first: TunerError | None = None
    for params in settings:
        try:
            Training(effective_options(task, params), params, _CPU)
        except Invalid as error:
            first = first or _in_study(error)
        except TunerError:
            raise
        except Exception as error:  # noqa: BLE001  user code may raise anything
            said = " ".join(str(error).split())[:300]
            logger.warning(
                "with %s the task's own code raised %s: %s",
                dict(params),
                type(error).__name__,
                said,
            )
            return
        else:
            return
    if first is not None:
        raise first


def _in_study(error: Invalid) -> Invalid:
    """The error with paths in the study file; a trial names the task's keys by themselves."""
    if not error.errors or error.errors[0].path.startswith(_TASK):
        return error
    mistakes = [replace(item, path=f"{_TASK}.{item.path}") for item in error.errors]
    return type(error)(f"{_TASK}.{error.message}", hint=error.hint, errors=mistakes)
