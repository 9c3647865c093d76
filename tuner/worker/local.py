"""Workers inside this process, for `tuner study run` and `study.optimize(workers=…)`."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuner.client.client import Client
from tuner.client.runner import describe
from tuner.errors import TunerError, WorkerError
from tuner.worker.agent import Agent
from tuner.worker.allow import Allow
from tuner.worker.sources import Asking

logger = logging.getLogger(__name__)


class LocalWorkers:
    """An agent in a thread, with trials in processes of their own.

    Args:
        client: Where the study is.
        study: The study's name; nothing else is served.
        slots: Trials at the same time; None: as many as cores or GPUs allow.
        devices: `auto`, `cpu`, or e.g. `cuda:0`.
        allow: What may run.
        executor: `process`.
        objective: A cloudpickled callable to run, whatever the study says about its trials.
        trials: With `objective`: how many numbers the study is to have.
    """

    def __init__(  # noqa: PLR0913  the options of two commands
        self,
        client: Client,
        study: str,
        *,
        slots: int | None = None,
        devices: str = "auto",
        allow: Allow | None = None,
        executor: str = "process",
        objective: bytes | None = None,
        trials: int | None = None,
    ) -> None:
        self._client = client
        self._study = study
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stop = threading.Event()
        self._failure: str | None = None
        source = None
        if objective is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="tuner-objective-")
            file = Path(self._folder.name) / "objective.pkl"
            file.write_bytes(objective)
            source = Asking(client, study, {"objective": str(file)}, trials)
        self._agent = Agent(
            client,
            devices=devices,
            slots=slots,
            executor=executor,
            allow=allow,
            studies=(study,),
            source=source,
        )
        # A Ctrl-C inside `Thread.join` makes Python 3.11 and 3.12 take a running thread for ended.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tuner-workers", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            WorkerError: If this machine cannot run the study's trials at all.
        """
        spec = self._client.rest.get_study(self._study).get("trial") or {}
        self.require(spec.get("resources") or {})
        self._thread.start()

    def require(self, resources: Mapping[str, Any]) -> None:
        """Refuse trials that never fit on this machine.

        Raises:
            WorkerError: If it has too few GPUs.
        """
        if not self._agent.pool.could_ever_fit(resources):
            raise WorkerError(
                f"A trial of study {self._study!r} needs {resources['gpus']:g} GPUs, and this"
                f" worker has {len(self._agent.pool.gpus)}.",
                hint="Run a worker where they are, or change trial.resources.",
            )

    @property
    def alive(self) -> bool:
        """Whether the workers still work."""
        return self._thread.ident is not None and not self._ended.is_set()

    @property
    def error(self) -> str | None:
        """Why the workers ended badly, or what keeps them from working; None if all is well."""
        return self._failure or self._agent.error

    def stop(self, reason: str = "paused") -> None:
        """Take nothing more, and stop the running trials for `reason`; does not wait."""
        self._agent.stop_reason = reason
        self._stop.set()

    def abort(self) -> None:
        """End the running trials at once (they are still given back); does not wait."""
        if self.alive:
            self._agent.abort()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the workers have ended and everything is told."""
        if self._thread.ident is not None:
            self._ended.wait(timeout)
        if self._folder is not None and not self.alive:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop("preempted")
        self.join()

    def _run(self) -> None:
        try:
            self._agent.run(self._stop)
        except TunerError as error:
            self._failure = str(error)
        except Exception as error:
            # Nobody else hears of what ends a thread.
            logger.debug("the workers ended", exc_info=error)
            self._failure = describe(error)
        finally:
            self._ended.set()
