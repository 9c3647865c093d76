"""What a study's optimizers need that is not installed here, said before its first trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.optimizers import extras
from tuner.tasks.check import chosen_optimizers, own_optimizers


def optimizers_of(study: Mapping[str, Any]) -> list[str]:
    """The optimizers that the trials of a study use, if they train a built-in task."""
    task = (study.get("trial") or {}).get("task")
    if task is None:
        return []
    parameters = (study.get("expanded_space") or {}).get("parameters", {})
    return [*chosen_optimizers(task, parameters), *own_optimizers(task.get("groups") or [])]


def require(study: Mapping[str, Any]) -> None:
    """Refuse to run a study here whose optimizers need an extra that is not installed.

    Raises:
        NotAvailable: Naming the optimizers and the command that installs the extra.
    """
    extras.require(optimizers_of(study), "space.optimizers")


def missing(study: Mapping[str, Any]) -> list[str]:
    """A line for each extra that workers of this installation lack for a study."""
    return [
        f"Note: {', '.join(names)} need the extra {extra!r}, which is not installed here; its"
        f" workers need: {extras.install(extra)}"
        for extra, names in extras.needed(optimizers_of(study)).items()
        if not extras.is_installed(extra)
    ]
