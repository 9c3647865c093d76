"""The study manager as the doors see it: one coroutine per use case, JSON-ready answers."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from tuner.core.messages import (
    Ask,
    Confirm,
    Heartbeat,
    Log,
    NewTrial,
    NewWorker,
    Release,
    Report,
    StudyChange,
    Tell,
    WorkerHeartbeat,
    WorkerLease,
)
from tuner.samplers import registry as samplers
from tuner.service import adding, reporting, studies, trials, workers
from tuner.service.documents import ENTRY, Document, gather
from tuner.service.handing import Handing
from tuner.service.idempotency import Answer, Key, make_key, once
from tuner.service.pool import Pool
from tuner.service.rendering import Rendering
from tuner.service.specification import define
from tuner.service.suggest import Suggester
from tuner.service.upkeep import Upkeep
from tuner.service.views import event_view
from tuner.storage import events, schema
from tuner.storage import studies as study_rows
from tuner.storage.clock import Clock
from tuner.storage.connect import connect
from tuner.storage.engine import Database, Tx

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Manager:
    """Everything that can be done with studies, over one database.

    Use `open`; close it when done.
    """

    def __init__(self, database: Database, pool: Pool, sweep_seconds: float) -> None:
        self._database = database
        self._pool = pool
        self._suggester = Suggester(database, pool)
        self._handing = Handing(database, self._suggester)
        self._changed = asyncio.Event()
        self._upkeep = Upkeep(database, sweep_seconds, self._notify)
        self._rendering = Rendering(self._read, pool)
        self._closing = False

    @classmethod
    async def open(
        cls,
        database_url: str,
        *,
        clock: Clock | None = None,
        sweep_seconds: float = 1.0,
        background: bool = True,
    ) -> Self:
        """Open a database and start the upkeep.

        Args:
            database_url: `sqlite:///FILE` or `postgresql://…`; an empty one gets its schema.
            clock: Replaces the database's clock in tests.
            sweep_seconds: How often expired leases are looked for.
            background: Whether the upkeep runs by itself (tests run it by hand).

        Raises:
            SchemaOutdated: If the schema does not match, naming the command that upgrades it.
            DatabaseUnavailable: If the database cannot be used.
        """
        await asyncio.to_thread(schema.ensure, database_url)
        database = await asyncio.to_thread(connect, database_url, clock)
        cores = os.cpu_count() or 1
        manager = cls(database, Pool(2 if cores > 2 else 1), sweep_seconds)
        await manager._upkeep.begin()
        if background:
            manager._upkeep.start()
        return manager

    async def close(self) -> None:
        """End background work and close the database."""
        if self._closing:
            return
        self._closing = True
        self._changed.set()
        await self._upkeep.close()
        await self._suggester.close()
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self._database.close)

    # --- studies

    async def create_study(
        self, data: Any, *, dry_run: bool = False, key: str | None = None
    ) -> Answer:
        """Create a study (201), find the same one (200), or with `dry_run` show it (200)."""
        definition = await asyncio.to_thread(define, data)
        if dry_run:
            return Answer(200, studies.preview(definition))
        used = make_key(key, "POST /studies", data)
        answer = await self._write(
            lambda tx: once(tx, used, lambda tx: studies.create(tx, definition))
        )
        if samplers.needs_history(definition.spec.sampler.name):
            self._suggester.warm()
        return answer

    async def list_studies(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        state: str | None = None,
        q: str | None = None,
    ) -> dict[str, Any]:
        """Studies by name."""
        return await self._read(
            functools.partial(studies.page, limit=limit, cursor=cursor, state=state, q=q)
        )

    async def get_study(self, name: str) -> dict[str, Any]:
        """One study."""
        return await self._read(lambda tx: studies.read(tx, name))

    async def change_study(self, name: str, body: StudyChange) -> dict[str, Any]:
        """Change state, budget, tags."""
        return await self._write(lambda tx: studies.change(tx, name, body))

    async def confirm_study(self, name: str, body: Confirm, key: str | None = None) -> Answer:
        """Queue the best settings on fresh seeds."""
        used = make_key(key, f"POST /studies/{name}/confirm", body.model_dump(mode="json"))
        return await self._write(
            lambda tx: once(tx, used, lambda tx: studies.confirm(tx, name, body))
        )

    async def delete_study(self, name: str) -> None:
        """Delete a study with everything in it."""
        self._suggester.drop(await self._write(lambda tx: studies.delete(tx, name)))

    async def best(self, name: str) -> dict[str, Any]:
        """The best trial."""
        return await self._read(lambda tx: trials.best(tx, name))

    async def pareto(self, name: str) -> dict[str, Any]:
        """The trials that no other dominates."""
        return await self._read(lambda tx: trials.front(tx, name))

    # --- trials

    async def ask(self, name: str, body: Ask, key: str | None = None) -> Answer:
        """Hand out trials of one study."""
        used = make_key(key, f"POST /studies/{name}/ask", body.model_dump(mode="json"))
        return self._told(await self._handing.ask(name, body, used))

    async def add_trials(self, name: str, data: Any, key: str | None = None) -> Answer:
        """Enqueue or import trials."""

        def prepare() -> tuple[list[NewTrial], bool, Key | None]:
            used = make_key(key, f"POST /studies/{name}/trials", data)
            return *adding.read_body(data), used

        # ten thousand trials take seconds to check; nobody's heartbeat waits for that
        is_long = isinstance(data, dict) and ("trials" in data or "measurements" in data)
        new, single, used = await asyncio.to_thread(prepare) if is_long else prepare()
        return await self._write(
            lambda tx: once(tx, used, lambda tx: adding.add(tx, name, new, single=single))
        )

    async def list_trials(
        self,
        name: str,
        *,
        states: Sequence[str] | None = None,
        sort: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> dict[str, Any]:
        """Trials of a study."""
        return await self._read(
            lambda tx: trials.page(tx, name, states=states, sort=sort, cursor=cursor, limit=limit)
        )

    async def get_trial(self, name: str, number: int) -> dict[str, Any]:
        """One trial with its attempts."""
        return await self._read(lambda tx: trials.read(tx, name, number))

    async def measurements(
        self, name: str, number: int, *, cursor: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """A trial's measurements."""
        return await self._read(
            lambda tx: trials.measurement_page(tx, name, number, cursor=cursor, limit=limit)
        )

    async def trial_log(self, name: str, number: int) -> dict[str, Any]:
        """A trial's log."""
        return await self._read(lambda tx: trials.log(tx, name, number))

    async def report(self, name: str, number: int, body: Report) -> dict[str, Any]:
        """Take measurements."""
        return await self._write(lambda tx: reporting.report(tx, name, number, body))

    async def heartbeat(self, name: str, number: int, body: Heartbeat) -> dict[str, Any]:
        """Renew a lease."""
        return await self._write(lambda tx: reporting.heartbeat(tx, name, number, body))

    async def append_log(self, name: str, number: int, body: Log) -> None:
        """Add to a trial's log."""
        await self._write(lambda tx: reporting.append_log(tx, name, number, body))

    async def tell(self, name: str, number: int, body: Tell, key: str | None = None) -> Answer:
        """End an attempt."""
        operation = f"POST /studies/{name}/trials/{number}/tell"
        used = make_key(key, operation, body.model_dump(mode="json"))
        answer = await self._write(
            lambda tx: once(tx, used, lambda tx: reporting.tell(tx, name, number, body))
        )
        made_by = answer.body["sampler"]
        if made_by is None or samplers.needs_history(made_by["name"]):
            await self._make_ahead(name)
        return answer

    async def release(self, name: str, number: int, body: Release) -> dict[str, Any]:
        """Give a trial back."""
        return await self._write(lambda tx: reporting.release(tx, name, number, body))

    async def stop_trial(self, name: str, number: int) -> dict[str, Any]:
        """Stop a trial."""
        return await self._write(lambda tx: trials.stop(tx, name, number))

    async def retry_trial(self, name: str, number: int) -> dict[str, Any]:
        """Put a failed trial back."""
        return await self._write(lambda tx: trials.retry(tx, name, number))

    # --- workers

    async def register_worker(self, body: NewWorker, key: str | None = None) -> Answer:
        """Make a worker known."""
        used = make_key(key, "POST /workers", body.model_dump(mode="json"))
        return await self._write(lambda tx: once(tx, used, lambda tx: workers.register(tx, body)))

    async def list_workers(self) -> dict[str, Any]:
        """All workers."""
        return await self._read(workers.everyone)

    async def drain_worker(self, worker_id: str) -> dict[str, Any]:
        """Give a worker nothing more."""
        return await self._write(lambda tx: workers.drain(tx, worker_id))

    async def lease(self, worker_id: str, body: WorkerLease, key: str | None = None) -> Answer:
        """Lease trials to a worker."""
        operation = f"POST /workers/{worker_id}/lease"
        used = make_key(key, operation, body.model_dump(mode="json"))
        return self._told(await self._handing.lease(worker_id, body, used))

    async def worker_heartbeat(self, worker_id: str, body: WorkerHeartbeat) -> dict[str, Any]:
        """Renew a worker's leases.

        Raises:
            WorkerNotFound: If it is not known (its leases are renewed nevertheless).
        """
        answer = await self._write(lambda tx: workers.heartbeat(tx, worker_id, body))
        if not answer.pop("known"):
            raise workers.unknown(worker_id)
        return answer

    # --- documents

    async def importance(self, name: str) -> dict[str, Any]:
        """Which parameters matter."""
        data = await self._read(lambda tx: gather(tx, name, "importance"))
        answer: dict[str, Any] = await self._pool.run(ENTRY, {"kind": "importance", **data})
        body: dict[str, Any] = answer["body"]
        return body

    async def study_report(self, name: str, format_: str = "json") -> Document:
        """The report of a study; while trials run, of a moment ago."""
        return await self._rendering.document(name, "report", format_)

    async def advice(self, name: str) -> Document:
        """What to do next; while trials run, as of a moment ago."""
        return await self._rendering.document(name, "advice", "json")

    async def export(self, name: str, format_: str = "jsonl") -> Document:
        """All trials of a study."""
        return await self._rendering.document(name, "export", format_)

    async def comparison(self, names: Sequence[str], format_: str = "json") -> Document:
        """Several studies, each one task, side by side."""
        return await self._rendering.comparison(names, format_)

    # --- events and health

    async def events(
        self, study: str | None = None, after: int | None = None, limit: int = 500
    ) -> list[dict[str, Any]]:
        """Events with larger ids than `after` (None: from now on, so none).

        Of a study that was deleted they are still told, its deletion among them.
        """
        if after is None:
            return []

        def work(tx: Tx) -> list[dict[str, Any]]:
            found = None if study is None else study_rows.find(tx, study)
            study_id = None if found is None else found.id
            rows = events.after(tx, after, study_id=study_id, limit=limit, gone=study)
            return [event_view(row) for row in rows]

        return await self._read(work)

    async def wait_events(self, timeout: float) -> None:  # noqa: ASYNC109 - an idle wait
        """Return when this server has written something, or after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return

    async def last_event_id(self) -> int:
        """The id after which only new events follow."""
        return await self._read(events.last_id)

    async def ready(self) -> dict[str, Any]:
        """Whether the database answers and has the expected schema."""
        status = await asyncio.to_thread(schema.inspect_schema, self._database.url)
        await self._read(events.last_id)
        return {
            "ready": status.status == "current",
            "database": self._database.dialect,
            "schema": status.found,
            "expected_schema": status.expected,
        }

    async def metrics(self) -> dict[str, Any]:
        """Counts for monitoring."""
        totals = await self._read(study_rows.totals)
        return {
            "trials": totals["trials"],
            "studies": totals["studies"],
            "lease_expiries": self._upkeep.expired,
            "sampler_fits": dict(self._suggester.fits),
            "sampler_seconds": dict(self._suggester.seconds),
        }

    async def sweep(self) -> int:
        """One round of upkeep by hand; how many leases expired."""
        return await self._upkeep.sweep()

    async def _make_ahead(self, name: str) -> None:
        row = await self._read(lambda tx: study_rows.find(tx, name))
        if row is not None and self._suggester.wants(row):
            self._suggester.ahead(row.id)

    def _told(self, answer: Answer) -> Answer:
        self._notify()
        return answer

    async def _write(self, work: Callable[[Tx], T]) -> T:
        result = await asyncio.wrap_future(self._database.write(work))
        self._notify()
        return result

    async def _read(self, work: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._database.read(work))

    def _notify(self) -> None:
        """Wake those who wait for events; a fresh event for the next round."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
