"""Opaque cursors of lists."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from tuner.core.wire import loads
from tuner.errors import Invalid


def encode(kind: str, *parts: Any) -> str:
    """The cursor that continues a list of `kind` after `parts`."""
    text = json.dumps([kind, *parts], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, kind: str, *types: type | tuple[type, ...]) -> list[Any]:
    """The parts of a cursor.

    Raises:
        Invalid: If it is not a cursor of this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        # strict: what no database can keep comes in no cursor of ours
        parts = loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, UnicodeError, binascii.Error, Invalid):
        parts = None
    legal = isinstance(parts, list) and len(parts) == len(types) + 1 and parts[0] == kind
    if not legal or not all(
        isinstance(part, wanted) and not isinstance(part, bool)
        for part, wanted in zip(parts[1:], types, strict=True)
    ):
        raise Invalid.at(
            "cursor",
            "is not a cursor of this list; start without one.",
            found=cursor[:80],
        )
    return list(parts[1:])


def page_of(items: list[Any], next_cursor: str | None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": items, "next_cursor": next_cursor}
