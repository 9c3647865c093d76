"""Reports, exports and comparisons: gathered, rendered in the pool, kept until a study changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from tuner.core.wire import dumps
from tuner.service.documents import ENTRY, Document, change_mark, gather, gather_several
from tuner.service.pool import Pool
from tuner.storage.engine import Tx

_KEPT: Final = 32
_KEPT_SIZE: Final = 64 * 1024 * 1024
T = TypeVar("T")


class Read(Protocol):
    """Runs a function of a read transaction."""

    def __call__(self, work: Callable[[Tx], T], /) -> Awaitable[T]:
        """Its result."""
        ...


class Documents:
    """The rendered documents of a manager.

    Args:
        read: Runs a read.
        pool: Where they are rendered.
    """

    def __init__(self, read: Read, pool: Pool) -> None:
        self._read = read
        self._pool = pool
        self._kept: dict[tuple[Any, ...], Document] = {}

    async def of_study(self, name: str, kind: str, format_: str) -> Document:
        """A document about one study."""
        return await self._document([name], (kind, format_), lambda tx: gather(tx, name, kind))

    async def of_several(self, names: Sequence[str], format_: str) -> Document:
        """The comparison of several studies; a name that is repeated counts once."""
        distinct = list(dict.fromkeys(names))
        return await self._document(
            distinct, ("comparison", format_), lambda tx: gather_several(tx, distinct)
        )

    async def _document(
        self, names: Sequence[str], form: tuple[str, str], gathered: Callable[[Tx], dict[str, Any]]
    ) -> Document:
        marks = await self._read(lambda tx: [change_mark(tx, name) for name in names])
        place = (*marks, *form)
        if place in self._kept:
            return self._kept[place]
        data = await self._read(gathered)
        kind, format_ = form
        made = await self._pool.run(ENTRY, {"kind": kind, "format": format_, **data})
        body = made["body"]
        document = Document(made["content_type"], dumps(body) if isinstance(body, dict) else body)
        if None not in marks:
            self._kept[place] = document
            self._forget()
        return document

    def _forget(self) -> None:
        """Keep the newest documents only, so many and so large."""
        size = sum(len(item.body) for item in self._kept.values())
        while size > _KEPT_SIZE or len(self._kept) > _KEPT:
            size -= len(self._kept.pop(next(iter(self._kept))).body)
