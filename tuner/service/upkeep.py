"""The task that keeps time: it looks for expired leases and notices when the server was away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from tuner.errors import TunerError
from tuner.service import reaper
from tuner.storage.engine import Database

logger = logging.getLogger(__name__)
T = TypeVar("T")
_FORGET_EVERY_S: Final = 600.0
# A pause this much longer than a sweep means that nobody could have renewed a lease.
_GAP_S: Final = 5.0


class Upkeep:
    """Runs the reaper.

    Args:
        database: Where studies are.
        sweep_seconds: Seconds between two sweeps.
        changed: Called after a sweep that changed something.
    """

    def __init__(
        self, database: Database, sweep_seconds: float, changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._sweep_seconds = sweep_seconds
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._away = True
        self.expired = 0

    async def begin(self) -> None:
        """After a start no lease runs out before one full lease has passed."""
        await self._run(reaper.after_gap)
        # here too: an embedded owner may never live as long as one round of forgetting
        await self._run(reaper.forget)
        self._away = False

    def start(self) -> None:
        """Sweep in the background until `close`."""
        self._task = asyncio.create_task(self._loop())

    async def close(self) -> None:
        """End the background task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """One sweep; how many leases expired."""
        if self._away:
            await self.begin()
        began = time.monotonic()
        await self._run(reaper.keep_time)
        if time.monotonic() - began > _GAP_S:
            # the database was stuck, so heartbeats were too
            await self.begin()
        total = 0
        while True:
            count = await self._run(reaper.expire)
            total += count
            if count == 0:
                break
        if total:
            self.expired += total
            logger.warning("%d leases expired", total)
            self._changed()
        return total

    async def _loop(self) -> None:
        last = time.monotonic()
        forgotten = last
        while True:
            await asyncio.sleep(self._sweep_seconds)
            now = time.monotonic()
            if now - last > self._sweep_seconds + _GAP_S:
                logger.warning("the server was away for %.1f s; leases are extended", now - last)
                self._away = True
            try:
                await self.sweep()
                if now - forgotten > _FORGET_EVERY_S:
                    forgotten = now
                    await self._run(reaper.forget)
            except TunerError as error:
                self._away = True
                logger.warning("no sweep was possible: %s", error)
            except Exception:
                logger.exception("a sweep failed")
            last = time.monotonic()

    async def _run(self, work: Callable[..., T]) -> T:
        return await asyncio.wrap_future(self._database.write(work))
