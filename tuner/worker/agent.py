"""The agent: leases trials, runs each in processes of its own, keeps its lease, tells its end."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any, Final

from tuner import settings
from tuner.client.client import Client
from tuner.client.reporter import LEASE_LOST
from tuner.client.runner import Outcome, describe, stopped
from tuner.core.lifecycle import Reason, StopReason
from tuner.errors import (
    Invalid,
    NotAvailable,
    NotFound,
    TunerError,
    Unauthorized,
    Unavailable,
    WorkerNotFound,
)
from tuner.optimizers import extras
from tuner.worker import devices
from tuner.worker.allow import Allow
from tuner.worker.aside import Aside
from tuner.worker.attempt import Attempt
from tuner.worker.executors.base import Executor, Exit
from tuner.worker.executors.process import ProcessExecutor
from tuner.worker.heartbeat import Heartbeat
from tuner.worker.jobs import Jobs
from tuner.worker.leasing import LeaseCall, Leasing
from tuner.worker.resources import NOTHING, Allocation, ResourcePool
from tuner.worker.settling import Settling
from tuner.worker.sources import Free, Leases, Source

logger = logging.getLogger(__name__)
_POLL_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0
_LOG_EVERY_S: Final = 2.0
_SETTLE_S: Final = 30.0
_ABORT_S: Final = 3.0
_RUNNERS: Final = ("task", "python", "command")


class Agent:
    """One worker.

    Args:
        client: The way to the server.
        name: The worker's name, for people.
        devices: `auto`, `cpu`, or e.g. `cuda:0,cuda:1`.
        slots: Most trials at the same time; None: as many as cores or GPUs allow.
        executor: `process`.
        allow: What may run here.
        studies: Serve only these.
        lease_seconds: How long a lease lasts without a heartbeat.
        until_idle: End when there is nothing left to run.
        max_trials: End after so many attempts.
        source: Where trials come from; None: leases across studies.

    Raises:
        NotAvailable: For an executor or a device that is not there.
    """

    def __init__(  # noqa: PLR0913  one argument per option of `worker start`
        self,
        client: Client,
        *,
        name: str = "",
        devices: str = "auto",
        slots: int | None = None,
        executor: str = "process",
        allow: Allow | None = None,
        studies: tuple[str, ...] | None = None,
        lease_seconds: float = 60.0,
        until_idle: bool = False,
        max_trials: int | None = None,
        source: Source | None = None,
    ) -> None:
        if os.name == "nt":
            raise NotAvailable("Trials do not run on Windows itself.", hint="Use WSL.")
        if executor != "process":
            raise NotAvailable(f"The executor {executor!r} is not available in this version.")
        self.error: str | None = None
        self.stop_reason: str = StopReason.PREEMPTED
        self.pool = make_pool(devices, slots)
        self._client = client
        self._name = name or platform.node() or "worker"
        self._allow = allow or Allow()
        self._lease_seconds = lease_seconds
        self._until_idle = until_idle
        self._left = max_trials
        self._source = source or Leases(client, studies)
        self._aside = Aside(self._source.studies)
        self._attempts: dict[str, Attempt] = {}
        self._stuck: dict[str, Allocation] = {}
        self._news: SimpleQueue[tuple[str, str, str]] = SimpleQueue()
        self._call: LeaseCall | None = None
        self._lease_at = 0.0
        self._busy_at = 0.0
        self._pause = _FIRST_PAUSE_S
        self._ship_at = 0.0
        self._takes_more = True
        self._is_stopping = False
        self._is_mismatch = False

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set (running trials then go back to the queue), or nothing is left.

        A KeyboardInterrupt ends the trials at once; they are still given back.

        Raises:
            Unavailable: If the server cannot be reached at the start.
        """
        self._jobs = Jobs(self._client)
        self._executor: Executor = ProcessExecutor()
        self._leasing = Leasing()
        self._settling = Settling(self._client, lambda lease: self._note("settled", lease))
        wait, known = _SETTLE_S, None
        try:
            known = self._heartbeat = Heartbeat(
                self._client,
                self._register,
                lambda lease, reason: self._note("stop", lease, reason),
                lambda: self._note("drain"),
                self._lease_seconds,
            )
            try:
                self._work(stop)
            except KeyboardInterrupt:
                wait = _ABORT_S
                self._abort()
            finally:
                self._heartbeat.close()
        finally:
            self._executor.close()
            self._settling.close(wait)
            if known is not None:
                known.leave()
            self._leasing.close()
            self._jobs.close()
            self._aside.say(time.monotonic(), self.error)

    def abort(self) -> None:
        """End as after a KeyboardInterrupt, from another thread."""
        # seen within one poll; the executor may not be there yet to be woken
        self._news.put(("abort", "", ""))

    def _work(self, stop: threading.Event) -> None:
        while True:
            if stop.is_set() and not self._is_stopping:
                self._stop_all(self.stop_reason)
            self._hear_news()
            self._take_leased()
            if self._is_done():
                return
            self._lease_more()
            for end in self._executor.poll(_POLL_S):
                self._conclude(end)
            self._watch()

    def _is_done(self) -> bool:
        now = time.monotonic()
        if self._takes_more or self._attempts:
            self._busy_at = now
            return False
        # What a call leases that takes too long comes back when its lease runs out.
        return self._call is None or now - self._busy_at >= _SETTLE_S

    def _hear_news(self) -> None:
        """What other threads have noted."""
        while True:
            try:
                what, lease, reason = self._news.get_nowait()
            except Empty:
                return
            attempt = self._attempts.get(lease)
            if what == "abort":
                raise KeyboardInterrupt
            if what == "drain":
                self._takes_more = False
            elif what == "stop" and attempt is not None and not attempt.is_settling:
                attempt.stop(reason, time.monotonic(), self._executor)
            elif what == "settled" and attempt is not None:
                self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        del self._attempts[attempt.lease]
        self._heartbeat.drop(attempt.lease)
        if self._executor.has_started(attempt.lease):
            self._stuck[attempt.lease] = attempt.allocation
        else:
            self.pool.release(attempt.allocation)
        self._jobs.clean(attempt)
        if attempt.allocation is not NOTHING:
            self._lease_at, self._pause = 0.0, _FIRST_PAUSE_S

    def _lease_more(self) -> None:
        """Ask for trials in the background, if there is room and it is time."""
        now = time.monotonic()
        slots = self.pool.free_slots
        if self._left is not None:
            slots = min(slots, self._left)
        if not self._takes_more or self._call is not None or now < self._lease_at or slots < 1:
            return
        free = Free(slots, self.pool.free_gpus, self.pool.free_cpus, self.pool.is_idle)
        worker_id, without = self._heartbeat.worker_id, tuple(self._aside.names(now))
        self._call = self._leasing.begin(
            lambda: self._source.take(worker_id, free, self._lease_seconds, without),
            not self._attempts,
            self._executor.wake,
        )

    def _take_leased(self) -> None:
        """Start what a finished call has leased."""
        if self._call is None or not self._call.answer.done():
            return
        call, self._call = self._call, None
        try:
            taken = call.answer.result()
        except Exception as error:  # noqa: BLE001  the trials that run are worth more
            self._take_refusal(error)
            return
        if not self._is_stopping:
            self.error = None
        for trial in taken.trials:
            self._begin(trial, taken.studies.get(trial["study"]), call.asked_at)
        if taken.trials:
            # A trial that goes back would be offered again at once.
            self._lease_at = time.monotonic() + (_LONGEST_PAUSE_S if self._is_mismatch else 0.0)
            self._pause, self._is_mismatch = _FIRST_PAUSE_S, False
            return
        if call.was_idle and (taken.is_over or self._until_idle):
            self._takes_more = False
            self.error = self._aside.text(time.monotonic()) or self.error
        self._rest(self._pause)

    def _take_refusal(self, error: Exception) -> None:
        """A call that has leased nothing."""
        self._rest(_LONGEST_PAUSE_S)
        if isinstance(error, WorkerNotFound):
            return  # the next heartbeat registers again
        if isinstance(error, Unavailable):
            logger.warning("lease: %s", error)
            return
        if isinstance(error, Invalid) and any(e.path.startswith("exclude") for e in error.errors):
            self._takes_more = False
            left = self._aside.text(time.monotonic())
            self.error = f"{left} (This server is too old to leave a study out.)"
            return
        text = str(error) if isinstance(error, TunerError) else describe(error)
        logger.error("lease: %s", text)
        self.error = self.error or text
        self._takes_more = self._takes_more and not isinstance(error, NotFound | Unauthorized)

    def _rest(self, seconds: float) -> None:
        self._lease_at = time.monotonic() + seconds
        self._pause = min(2 * seconds, _LONGEST_PAUSE_S)

    def _begin(
        self, trial: dict[str, Any], study: Mapping[str, Any] | None, asked_at: float
    ) -> None:
        lease = str(trial["lease"])
        if lease in self._attempts or lease in self._stuck:
            return  # an answer that came twice; it runs already
        self._heartbeat.hold(lease, self._lease_seconds, asked_at)
        why = self._obstacle(trial, study)
        allocation = None if why else self.pool.try_allocate(trial.get("resources"))
        attempt = self._jobs.attempt(trial, allocation)
        self._attempts[lease] = attempt
        if allocation is None:
            self._is_mismatch = True
            self._give_back(attempt, why or "It does not fit now.")
            return
        try:
            self._executor.start(self._jobs.job(attempt, study))
        except OSError as error:
            why = f"No trial can be started on this worker: {error}."
            self._leave_alone(attempt.study, why)
            self._give_back(attempt, why)
            return
        logger.info("%s starts", attempt.name)
        if self._left is not None:
            self._left -= 1
            self._takes_more = self._takes_more and self._left > 0

    def _obstacle(self, trial: Mapping[str, Any], study: Mapping[str, Any] | None) -> str | None:
        """Why a leased trial does not start here; None if nothing keeps it."""
        name, runner = str(trial["study"]), trial.get("runner") or {}
        if self._is_stopping:
            return "The worker ends."
        if left := self._aside.names(time.monotonic()).get(name):
            return left  # leased before it was left alone
        if study is None:
            return "The study could not be read."
        if "objective" in runner or self._allow.permits(runner):
            return None
        why = "The study's runner is not allowed on this worker."
        self._leave_alone(name, why)
        return why

    def _give_back(self, attempt: Attempt, why: str) -> None:
        logger.info("%s goes back: %s", attempt.name, why)
        self._settle(attempt, Outcome("release", reason=Reason.PREEMPTED, message=why))

    def _conclude(self, end: Exit) -> None:
        attempt = self._attempts.get(end.key)
        if attempt is None or attempt.is_settling:
            self.pool.release(self._stuck.pop(end.key, NOTHING))
            return
        if end.fatal is not None:
            self._leave_alone(attempt.study, end.fatal)
        elif end.outcome is not None and end.outcome.action == "tell":
            self._aside.ran(attempt.study, time.monotonic())
        self._settle(attempt, end)

    def _leave_alone(self, study: str, why: str) -> None:
        """Take no trial of a study for a while; a worker with no other study to serve ends."""
        now = time.monotonic()
        if self._aside.put(study, why, now):
            self.error = self._aside.text(now)
            self._stop_all(StopReason.PREEMPTED)

    def _settle(self, attempt: Attempt, end: Exit | Outcome) -> None:
        attempt.is_settling = True
        self._settling.settle(attempt, end)

    def _watch(self) -> None:
        """Lost leases, time limits, stops under way, logs."""
        now = time.monotonic()
        for lease in self._heartbeat.expired():
            attempt = self._attempts.get(lease)
            if attempt is not None and not attempt.is_settling:
                logger.warning("%s: the lease could not be renewed; it ends here", attempt.name)
                attempt.stop(LEASE_LOST, now, self._executor)
        running = [a for a in self._attempts.values() if not a.is_settling]
        for attempt in running:
            attempt.watch(now, self._executor)
            if attempt.is_stuck(now):
                why = "The trial's process outlives SIGKILL; its slot stays taken."
                logger.error("%s: %s", attempt.name, why)
                said = self._executor.outcome_of(attempt.lease)
                self._settle(attempt, Exit(attempt.lease, None, said, why))
        if now >= self._ship_at:
            self._ship_at = now + _LOG_EVERY_S
            for attempt in running:
                self._settling.ship_log(attempt)

    def _stop_all(self, reason: str) -> None:
        """Take nothing more and let the running trials stop."""
        self._takes_more, self._is_stopping = False, True
        for attempt in self._attempts.values():
            if not attempt.is_settling:
                attempt.stop(reason, time.monotonic(), self._executor)

    def _abort(self) -> None:
        """End all trials now and give them back."""
        self._executor.close()
        for attempt in self._attempts.values():
            if not attempt.is_settling:
                self._settle(attempt, stopped(StopReason.PREEMPTED))

    def _note(self, what: str, lease: str = "", reason: str = "") -> None:
        self._news.put((what, lease, reason))
        self._executor.wake()

    def _register(self) -> str:
        exact = self._allow.exactly
        answer = self._client.rest.register_worker(
            {
                "name": self._name[:256],
                "host": (platform.node() or "localhost")[:256],
                "slots": self.pool.slots,
                "devices": self.pool.describe(),
                "runners": _RUNNERS if exact is None else [k for k in _RUNNERS if k in exact],
                "allow": list(self._allow.rules),
                "labels": {"platform": platform.system(), extras.LABEL: extras.label()},
            }
        )
        return str(answer["id"])


def make_pool(names: str, slots: int | None) -> ResourcePool:
    """The resources that `--devices` and `--slots` leave to a worker."""
    return ResourcePool(devices.cores(), devices.choose(names, settings.visible_gpus()), slots)
