"""From a leased trial to a job: its files, its environment, what its process is told."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
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

    Parameters and logs are in a folder for this user only, with one folder per attempt.

    Args:
        client: How the trials reach the server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._root = _make_root()
        self._count = itertools.count()

    def attempt(self, trial: Mapping[str, Any], allocation: Allocation | None) -> Attempt:
        """An attempt that begins now; without an allocation it will not run."""
        return Attempt(trial, allocation or NOTHING, self._new_log())

    def job(self, attempt: Attempt, study: Mapping[str, Any] | None) -> Job:
        """What the executor gets; the study's objectives and pruner spare the trial a call.

        Raises:
            OSError: If the files cannot be written, or the worker's folder is gone.
        """
        trial = attempt.trial
        if not self._root.is_dir():  # whoever cleans temporary files has found it old
            self._root = _make_root()
            attempt.log = self._new_log()
        attempt.log.file.parent.mkdir()
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

    def clean(self, attempt: Attempt) -> None:
        """Remove the files of an attempt that is settled."""
        shutil.rmtree(attempt.log.file.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _new_log(self) -> LogFile:
        return LogFile(self._root / str(next(self._count)) / "log")


def _make_root() -> Path:
    return Path(tempfile.mkdtemp(prefix="tuner-worker-"))


def _search_path(runner: Mapping[str, Any]) -> list[str]:
    """Where the trial finds user code: as `python -m` would, or as the caller of `optimize`."""
    if "python" in runner or ("task" in runner and entrypoints(runner["task"])):
        return [str(Path.cwd())]
    if "objective" in runner:
        return [entry or str(Path.cwd()) for entry in sys.path]
    return []
