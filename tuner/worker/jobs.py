"""From a leased trial to a job: its files, its environment, what its process is told."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner import settings
from tuner.client.client import Client
from tuner.client.keeping import checkpoint_folder
from tuner.core.allow import entrypoints
from tuner.worker.attempt import Attempt
from tuner.worker.executors.base import Job
from tuner.worker.logs import LogFile
from tuner.worker.resources import NOTHING, Allocation
from tuner.worker.sources import is_pruned


class Jobs:
    """Makes jobs.

    Args:
        client: How the trials reach the server.
        folder: For parameters and logs, for this user only; one folder per attempt.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._names: dict[str, Path] = {}

    def attempt(self, trial: Mapping[str, Any], allocation: Allocation | None) -> Attempt:
        """An attempt that begins now; without an allocation it will not run."""
        folder = self._folder / str(len(self._names))
        folder.mkdir()
        self._names[str(trial["lease"])] = folder
        return Attempt(trial, allocation or NOTHING, LogFile(folder / "log"))

    def job(self, attempt: Attempt, study: Mapping[str, Any] | None) -> Job:
        """What the executor gets; the study's objectives and pruner spare the trial a call."""
        trial = attempt.trial
        runner = trial["runner"]
        params_file = attempt.log.file.with_name("params.json")
        params_file.write_text(json.dumps(trial["params"]), encoding="utf-8")
        checkpoints = checkpoint_folder(self._client, trial)
        url, token = self._client.url, self._client.token
        env = {
            **attempt.allocation.env,
            settings.URL: url,
            settings.STUDY: attempt.study,
            settings.TRIAL: str(attempt.number),
            settings.LEASE: attempt.lease,
            settings.PARAMS: str(params_file),
            settings.CHECKPOINT_DIR: str(checkpoints),
            settings.REPLICATE: str((trial.get("user_attrs") or {}).get("replicate", 0)),
        }
        if token is not None:
            env[settings.TOKEN] = token
        data = {
            "runner": runner,
            "trial": dict(trial),
            "metrics": None if study is None else [o["metric"] for o in study["objectives"]],
            "has_pruner": None if study is None else is_pruned(study),
            "env": env,
            "cwd": str(Path.cwd()),
            "path": _search_path(runner),
            "cpus": attempt.allocation.cpus,
            "grace": float(trial.get("grace") or 0.0),
            "connect": {"url": url, "token": token, "database_url": self._client.database_url},
            "checkpoint_dir": str(checkpoints),
        }
        return Job(attempt.lease, data, attempt.log.file, preload="task" in runner)

    def clean(self, lease: str) -> None:
        """Remove the files of an attempt that is settled."""
        folder = self._names.get(lease)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _search_path(runner: Mapping[str, Any]) -> list[str]:
    """Where the trial finds user code: as `python -m` would, or as the caller of `optimize`."""
    if "python" in runner or ("task" in runner and entrypoints(runner["task"])):
        return [str(Path.cwd())]
    if "objective" in runner:
        return [entry or str(Path.cwd()) for entry in sys.path]
    return []
