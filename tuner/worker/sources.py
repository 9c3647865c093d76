"""Where an agent gets trials: leases across studies, or one study that is asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tuner.client.client import Client
from tuner.client.optimize import is_over
from tuner.errors import TunerError
from tuner.worker.resources import ANY_CPUS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Free:
    """What of the machine is free: trials, resources, and whether all of it is."""

    slots: int
    gpus: float
    cpus: float
    is_idle: bool


@dataclass(frozen=True)
class Taken:
    """Trials that were leased.

    Args:
        trials: As leased, with a `runner`.
        studies: The studies they are of, by name; one that could not be read is missing.
        is_over: Whether there will never be more, unless what runs here comes back.
    """

    trials: list[dict[str, Any]]
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_over: bool = False


class Source(Protocol):
    """Gives trials; called from one thread."""

    @property
    def studies(self) -> tuple[str, ...] | None:
        """The only studies that it serves, by name; None: all."""

    def take(
        self, worker_id: str, free: Free, lease_seconds: float, without: Sequence[str]
    ) -> Taken:
        """Lease trials that fit what is free, of other studies than those `without` names."""


class Leases:
    """Trials of all studies that the worker may run.

    Args:
        client: Asks.
        studies: Only these, by name; None: all.
    """

    def __init__(self, client: Client, studies: tuple[str, ...] | None) -> None:
        self._client = client
        self.studies = studies

    def take(
        self, worker_id: str, free: Free, lease_seconds: float, without: Sequence[str]
    ) -> Taken:
        """See `Source`; an idle machine also takes a trial that wants more cores than it has."""
        count, cpus = (1, ANY_CPUS) if free.is_idle else (free.slots, max(free.cpus, 0.0))
        answer = self._client.rest.lease_trials(
            worker_id,
            count,
            {"gpus": free.gpus, "cpus": cpus},
            self.studies,
            lease_seconds,
            without,
        )
        trials = answer["trials"]
        return Taken(trials, _studies_of(self._client, trials))


class Asking:
    """Trials of one study, whether or not it says how they run.

    Args:
        client: Asks.
        study: The study's name.
        runner: How they run here.
        trials: How many numbers the study is to have; None: as many as its budget allows.
    """

    def __init__(
        self, client: Client, study: str, runner: Mapping[str, Any], trials: int | None
    ) -> None:
        self._client = client
        self.studies = (study,)
        self._study = study
        self._runner = dict(runner)
        self._trials = trials

    def take(
        self, worker_id: str, free: Free, lease_seconds: float, without: Sequence[str]
    ) -> Taken:
        """See `Source`; a worker that leaves its only study alone asks no more."""
        del without
        study = self._client.rest.get_study(self._study)
        count = free.slots
        if self._trials is not None:
            counts = study["counts"]
            left = max(0, self._trials - sum(counts.values())) + counts["waiting"]
            count = min(count, left)
        if count == 0:
            return Taken([], is_over=True)
        answer = self._client.rest.ask(self._study, count, worker_id, lease_seconds)
        trials = [{**trial, "runner": self._runner} for trial in answer["trials"]]
        now = {**study, "state": answer.get("study_state", study["state"])}
        return Taken(trials, {self._study: study}, is_over=not trials and is_over(now))


def is_pruned(study: Mapping[str, Any]) -> bool:
    """Whether a study's reports await a decision."""
    return bool(study["pruner"]["name"] != "none")


def _studies_of(client: Client, trials: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Read the studies of leased trials; a failure must not let go of what is leased."""
    found = {}
    for name in {trial["study"] for trial in trials}:
        try:
            found[name] = client.rest.get_study(name)
        except TunerError as error:
            logger.warning("study %s: %s", name, error)
    return found
