"""Reports, exports and comparisons, each rendered once however many want it.

What is rendered is kept until the study changes. Measurements of running trials change no study, so
that of a study in which trials run is kept for `FRESH_S` seconds at most. Those who ask while it is
being rendered wait for the same rendering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from tuner.core.wire import dumps
from tuner.service.documents import ENTRY, Document, change_mark, gather, gather_several
from tuner.service.pool import Pool
from tuner.storage.engine import Tx

FRESH_S: Final = 2.0
_KEPT: Final = 32
_KEPT_SIZE: Final = 64 * 1024 * 1024
T = TypeVar("T")
Place = tuple[Any, ...]
Gather = Callable[[Tx], dict[str, Any]]


class Read(Protocol):
    """Runs a function in a transaction that reads."""

    def __call__(self, work: Callable[[Tx], T], /) -> Awaitable[T]:
        """Its result."""


class Rendering:
    """The documents of one server.

    Args:
        read: Reads from the database.
        pool: Renders.
    """

    def __init__(self, read: Read, pool: Pool) -> None:
        self._read = read
        self._pool = pool
        self._kept: dict[Place, tuple[Document, float]] = {}
        self._making: dict[Place, asyncio.Task[Document]] = {}

    async def document(self, name: str, kind: str, format_: str) -> Document:
        """A report or export, as of now or of a moment ago.

        Args:
            name: The study's name.
            kind: `report` or `export`.
            format_: One of its formats.

        Raises:
            StudyNotFound: If there is no such study.
            Unavailable: If it cannot be rendered.
        """
        return await self._kept_or_made([name], kind, format_, lambda tx: gather(tx, name, kind))

    async def comparison(self, names: Sequence[str], format_: str) -> Document:
        """Several studies side by side; a name that is repeated counts once.

        Args:
            names: The studies' names.
            format_: One of the formats of a report.

        Raises:
            StudyNotFound: If there is no study of a name.
            Invalid: If the studies cannot be compared.
            Unavailable: If it cannot be rendered.
        """
        distinct = list(dict.fromkeys(names))
        return await self._kept_or_made(
            distinct, "comparison", format_, lambda tx: gather_several(tx, distinct)
        )

    async def _kept_or_made(
        self, names: Sequence[str], kind: str, format_: str, gathered: Gather
    ) -> Document:
        marks = await self._read(lambda tx: tuple(change_mark(tx, name) for name in names))
        place = (marks, kind, format_)
        if place in self._kept:
            document, until = self._kept[place]
            if asyncio.get_running_loop().time() < until:
                return document
            del self._kept[place]
        task = self._making.get(place)
        if task is None:
            task = asyncio.create_task(self._make(place, gathered))
            self._making[place] = task
            task.add_done_callback(lambda done: self._made(place, done))
        # One who goes away does not take it from the others.
        return await asyncio.shield(task)

    async def _make(self, place: Place, gathered: Gather) -> Document:
        marks, kind, format_ = place
        began = asyncio.get_running_loop().time()
        data = await self._read(gathered)
        made = await self._pool.run(ENTRY, {"kind": kind, "format": format_, **data})
        body = made["body"]
        document = Document(made["content_type"], dumps(body) if isinstance(body, dict) else body)
        is_running = any(mark.is_running for mark in marks)
        self._kept[place] = (document, began + FRESH_S if is_running else float("inf"))
        self._forget()
        return document

    def _made(self, place: Place, task: asyncio.Task[Document]) -> None:
        del self._making[place]
        if not task.cancelled():
            task.exception()  # whoever still waits gets it

    def _forget(self) -> None:
        """Keep the newest documents only, so many and so large."""
        size = sum(len(document.body) for document, _ in self._kept.values())
        while size > _KEPT_SIZE or len(self._kept) > _KEPT:
            document, _ = self._kept.pop(next(iter(self._kept)))
            size -= len(document.body)
