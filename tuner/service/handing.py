"""Handing out trials: reserve, let the model fill in parameters, answer; also when repeated.

Three steps, so that no model is fitted inside a transaction: reserve (the key is recorded with
what was reserved), fit outside, answer (the key is recorded with the answer). A call repeated
after a crash in between goes on from the reservation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import Row

from tuner.core.lifecycle import StudyState
from tuner.core.messages import Ask, WorkerLease
from tuner.core.wire import dumps, loads
from tuner.errors import TunerError
from tuner.samplers import registry as samplers
from tuner.service import workers
from tuner.service.asking import Reserved, Wanted, give_back, leased, reserve, still_held
from tuner.service.idempotency import Answer, Key, recall
from tuner.service.specification import spec_of
from tuner.service.state import study_of
from tuner.service.suggest import Suggester
from tuner.storage import idempotency
from tuner.storage.engine import Database, Tx

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Handing:
    """Ask and worker lease.

    Args:
        database: Where studies are.
        suggester: Fills in parameters.
    """

    def __init__(self, database: Database, suggester: Suggester) -> None:
        self._database = database
        self._suggester = suggester
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def ask(self, name: str, body: Ask, key: Key | None) -> Answer:
        """Up to `body.count` trials of one study."""
        ready = self._suggester.ready()

        def first(tx: Tx) -> list[Reserved]:
            study = study_of(tx, name, lock=True)
            wanted = Wanted(body.count, body.worker_id, body.lease_seconds, ready.get(study.id))
            return [reserve(tx, study, wanted)]

        def last(tx: Tx, reserved: list[Reserved]) -> dict[str, Any]:
            (one,) = reserved
            return {"trials": leased(tx, one), "study_state": str(one.state)}

        return await self._alone(key, first, last)

    async def lease(self, worker_id: str, body: WorkerLease, key: Key | None) -> Answer:
        """Up to `body.count` trials of any studies that the worker may run."""
        ready = self._suggester.ready()

        def first(tx: Tx) -> list[Reserved]:
            return workers.lease(tx, worker_id, body, ready)

        def last(tx: Tx, reserved: list[Reserved]) -> dict[str, Any]:
            return {"trials": [view for one in reserved for view in leased(tx, one)]}

        return await self._alone(key, first, last)

    async def _alone(
        self,
        key: Key | None,
        first: Callable[[Tx], list[Reserved]],
        last: Callable[[Tx, list[Reserved]], dict[str, Any]],
    ) -> Answer:
        """One call per key at a time: a concurrent twin waits and gets the first answer."""
        if key is None:
            return await self._hand_out(None, first, last)
        while key.key in self._under_way:
            await asyncio.shield(self._under_way[key.key])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[key.key] = done
        try:
            return await self._hand_out(key, first, last)
        finally:
            del self._under_way[key.key]
            done.set_result(None)

    async def _hand_out(
        self,
        key: Key | None,
        first: Callable[[Tx], list[Reserved]],
        last: Callable[[Tx, list[Reserved]], dict[str, Any]],
    ) -> Answer:
        answer, reserved = await self._write(lambda tx: _begin(tx, key, first, last))
        for one in reserved:
            if one.used_ready:
                self._suggester.used(one.study_id)
        if answer is None:
            try:
                for one in reserved:
                    await self._fill(one)
            except Exception:
                await self._write(lambda tx: _abandon(tx, key, reserved))
                raise
            answer = await self._write(lambda tx: _finish(tx, key, last(tx, reserved)))
        for one in reserved:
            if one.leases and samplers.needs_history(spec_of(one.spec).sampler.name):
                self._suggester.ahead(one.study_id)
        return answer

    async def _fill(self, reserved: Reserved) -> None:
        try:
            await self._suggester.fill(reserved)
        except TunerError:
            raise
        except Exception as error:
            logger.exception("the sampler of study %s failed", reserved.study)
            raise TunerError(
                f"The sampler of study {reserved.study!r} failed: {type(error).__name__}: {error}",
                hint="The trial is back in the queue. Please report this with the study's export.",
            ) from error

    async def _write(self, work: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._database.write(work))


def _begin(
    tx: Tx,
    key: Key | None,
    first: Callable[[Tx], list[Reserved]],
    last: Callable[[Tx, list[Reserved]], dict[str, Any]],
) -> tuple[Answer | None, list[Reserved]]:
    """Reserve; the answer is there at once if no model is needed or the call is a repeat."""
    if key is not None:
        earlier = recall(tx, key)
        if earlier is not None and earlier.status is not None:
            return Answer(earlier.status, loads(earlier.body)), []
        if earlier is not None:
            begun = _reservation(earlier)
            if any(still_held(tx, one) for one in begun):
                return None, begun
            # all of it went to others meanwhile: nothing was answered yet, so begin again
            idempotency.remove(tx, key.key)
    reserved = first(tx)
    if any(one.unfilled for one in reserved):
        if key is not None:
            kept = dumps([asdict(one) for one in reserved])
            idempotency.add(tx, key.key, key.fingerprint, None, kept)
        return None, reserved
    answer = Answer(200, last(tx, reserved))
    if key is not None:
        idempotency.add(tx, key.key, key.fingerprint, answer.status, dumps(answer.body))
    return answer, reserved


def _finish(tx: Tx, key: Key | None, body: dict[str, Any]) -> Answer:
    """Record the answer of a call that had to wait for a model."""
    if key is not None:
        idempotency.finish(tx, key.key, 200, dumps(body))
    return Answer(200, body)


def _abandon(tx: Tx, key: Key | None, reserved: list[Reserved]) -> None:
    """The call fails: nothing stays leased to it, and a repeat begins anew."""
    for one in sorted(reserved, key=lambda item: item.study_id):
        give_back(tx, one)
    if key is not None:
        idempotency.remove(tx, key.key)


def _reservation(earlier: Row[Any]) -> list[Reserved]:
    """What a call that never came to its end had reserved."""
    reserved = []
    for item in loads(earlier.body):
        leases = {int(trial_id): lease for trial_id, lease in item["leases"].items()}
        state = StudyState(item["state"])
        reserved.append(Reserved(**{**item, "leases": leases, "state": state}))
    return reserved
