"""Where a trial keeps its checkpoints on this machine, and when they are deleted.

They serve the next attempt. A trial that is `complete` or `pruned` has none, so its checkpoints go
when it is told; a `fail` keeps them, because `retry` goes on from them. Only what `save_checkpoint`
wrote is ever deleted: other files in a trial's folder are their writer's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.client.checkpoints import Checkpoints
from tuner.errors import TrialNotFound
from tuner.settings import state_folder

if TYPE_CHECKING:
    from tuner.client.client import Client

_GONE = ("complete", "pruned")


def let_go(checkpoints: Checkpoints, told: Mapping[str, Any]) -> None:
    """Delete the checkpoints of a trial that will never go on; a `fail` may be retried.

    Args:
        checkpoints: Those of the trial.
        told: The trial as the server has it.
    """
    if told.get("state") in _GONE:
        checkpoints.clear()


def delete_study(client: Client, name: str) -> None:
    """Delete a study, and what its trials have kept on this machine.

    Raises:
        StudyNotFound: If there is none of that name.
    """
    kept = _folder_of(name)
    mine: list[Path] = []
    for folder in kept.iterdir() if kept.is_dir() else ():
        number = folder.name.partition("-")[0]
        if number.isdecimal():
            with suppress(TrialNotFound):
                trial = client.rest.get_trial(name, int(number))
                if checkpoint_folder(client, trial) == folder:
                    mine.append(folder)
    client.rest.delete_study(name)
    for folder in mine:
        Checkpoints(folder).clear()
    with suppress(OSError):  # other files, or another server's
        kept.rmdir()


def checkpoint_folder(client: Client, data: Mapping[str, Any]) -> Path:
    """A folder of this trial alone: a study of the same name elsewhere, or later, has another."""
    mark = f"{client.place}|{data.get('created_at', '')}"
    digest = hashlib.sha256(mark.encode()).hexdigest()[:12]
    return _folder_of(str(data["study"])) / f"{data['number']}-{digest}"


def _folder_of(study: str) -> Path:
    return state_folder() / "checkpoints" / study
