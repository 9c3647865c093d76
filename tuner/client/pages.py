"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def every(page: Callable[[str | None], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page; `page` takes a cursor and answers `{items, next_cursor}`."""
    cursor: str | None = None
    while True:
        answer = page(cursor)
        yield from answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return
