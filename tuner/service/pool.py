"""The process pool for model fits and reports: heavy libraries live there, never in the server.

Only plain data crosses. A broken pool is replaced; its callers get a typed error and may repeat.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

from tuner.errors import Unavailable

logger = logging.getLogger(__name__)
DEADLINE_S: Final = 300.0
_TRIES: Final = 2


class Pool:
    """Runs functions named by module and attribute in worker processes.

    Args:
        processes: How many.
    """

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._executor: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    async def run(self, target: str, *args: Any) -> Any:
        """Call `module:function` with plain arguments.

        Raises:
            Unavailable: If the worker process died twice, or took longer than `DEADLINE_S`.
        """
        for attempt in range(1, _TRIES + 1):
            executor = self._running()
            try:
                future = asyncio.wrap_future(executor.submit(call, target, *args))
                return await asyncio.wait_for(future, DEADLINE_S)
            except BrokenProcessPool:
                self._drop(executor)
                logger.warning("a pool process died in %s (try %d)", target, attempt)
            except TimeoutError:
                self._drop(executor)
                raise Unavailable(
                    f"{target} took longer than {DEADLINE_S:g} s and was ended.",
                    hint="Repeat the call; for very long studies choose the sampler tpe.",
                ) from None
        raise Unavailable(
            f"The process that computes {target} died twice.",
            hint="Is the machine out of memory? The call can be repeated.",
        )

    def warm(self, *modules: str) -> None:
        """Start the processes and import modules there, without waiting."""
        executor = self._running()
        for _ in range(self._processes):
            executor.submit(load, *modules).add_done_callback(_swallow)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            _end(executor)

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise Unavailable("The server is shutting down.", hint="Repeat the call.")
            if self._executor is None:
                self._executor = ProcessPoolExecutor(
                    self._processes,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start,
                )
            return self._executor

    def _drop(self, executor: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._executor is executor:
                self._executor = None
        _end(executor)


def call(target: str, *args: Any) -> Any:
    """Runs in the pool: import and call."""
    return _function(target)(*args)


def load(*modules: str) -> None:
    """Runs in the pool: import ahead of use."""
    for module in modules:
        importlib.import_module(module)


@functools.cache
def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _start() -> None:
    """End with the server, also when that is killed: its end of the pipe then closes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        watcher = threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True)
        watcher.start()


def _watch(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(0)


def _end(executor: ProcessPoolExecutor) -> None:
    processes = list((executor._processes or {}).values())
    # Calls that still wait are not cancelled: the dead processes break the pool, and they repeat.
    executor.shutdown(wait=False)
    for process in processes:
        process.terminate()


def _swallow(future: Any) -> None:
    if not future.cancelled() and future.exception() is not None:
        logger.debug("warming failed: %s", future.exception())
