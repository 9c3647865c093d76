"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

PAGE: Final = 1000
DEFAULT_LIMIT: Final = 100


def collect(
    fetch: Callable[..., dict[str, Any]], limit: int | None, **query: Any
) -> dict[str, Any]:
    """Follow pages until `limit` items are there (None: to the end).

    Args:
        fetch: A list call of the client; takes `limit` and `cursor`.
        limit: How many items at most.
        query: Further arguments of the call.

    Returns:
        One page object; its cursor is where the next item would be, or None.
    """
    items: list[Any] = []
    cursor: str | None = None
    while True:
        wanted = PAGE if limit is None else min(PAGE, limit - len(items))
        page = fetch(limit=wanted, cursor=cursor, **query)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return {"items": items, "next_cursor": cursor}
