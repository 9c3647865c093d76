"""The process pool: plain calls, dead processes, deadlines, closing."""

from __future__ import annotations

import asyncio

import pytest

from tuner.errors import Unavailable
from tuner.service import pool as pools
from tuner.service.pool import Pool


def run(call):
    """Run `call(pool)` and close the pool."""

    async def work():
        pool = Pool(1)
        try:
            return await call(pool)
        finally:
            await asyncio.to_thread(pool.close)

    return asyncio.run(work())


def test_functions_are_called_by_name_and_their_errors_come_back():
    async def calls(pool):
        assert await pool.run("operator:add", 1, 2) == 3
        with pytest.raises(ZeroDivisionError):
            await pool.run("operator:floordiv", 1, 0)
        return await pool.run("os:getpid")

    assert run(calls) > 0


def test_a_call_that_kills_its_process_is_unavailable_and_the_next_one_works():
    async def calls(pool):
        with pytest.raises(Unavailable, match="died twice"):
            await pool.run("os:_exit", 1)
        return await pool.run("operator:add", 1, 2)

    assert run(calls) == 3


def test_a_call_that_takes_too_long_is_ended(monkeypatch):
    async def calls(pool):
        await pool.run("operator:add", 1, 2)
        monkeypatch.setattr(pools, "DEADLINE_S", 0.2)
        with pytest.raises(Unavailable, match="took longer"):
            await pool.run("time:sleep", 60)
        monkeypatch.undo()
        return await pool.run("operator:add", 1, 2)

    assert run(calls) == 3


def test_the_end_of_a_call_that_takes_too_long_spares_those_that_wait(monkeypatch):
    async def calls(pool):
        await pool.run("operator:add", 1, 2)
        monkeypatch.setattr(pools, "DEADLINE_S", 0.5)
        slow = asyncio.ensure_future(pool.run("time:sleep", 60))
        await asyncio.sleep(0)
        monkeypatch.undo()
        waiting = [asyncio.ensure_future(pool.run("operator:add", 1, i)) for i in range(5)]
        with pytest.raises(Unavailable, match="took longer"):
            await slow
        return await asyncio.gather(*waiting)

    assert run(calls) == [1, 2, 3, 4, 5]


def test_a_closed_pool_takes_nothing():
    async def calls(pool):
        pool.close()
        with pytest.raises(Unavailable, match="shutting down"):
            await pool.run("operator:add", 1, 2)

    run(calls)
