"""A call repeated with its idempotency key gets the first answer, whatever happened in between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tuner.core.wire import canonical, dumps, loads
from tuner.errors import IdempotencyMismatch
from tuner.storage import idempotency
from tuner.storage.engine import Tx


class Answer(NamedTuple):
    """HTTP status and JSON body of a call that may be repeated."""

    status: int
    body: dict[str, Any]


class Key(NamedTuple):
    """An idempotency key and what it was used for."""

    key: str
    fingerprint: str


def make_key(key: str | None, operation: str, body: Any) -> Key | None:
    """The key of a call, with the fingerprint of what the call asks for.

    Args:
        key: The Idempotency-Key header, None without one.
        operation: Method and path.
        body: The body as parsed.
    """
    if key is None:
        return None
    text = f"{operation}\n{canonical(body)}"
    return Key(key, hashlib.sha256(text.encode()).hexdigest())


def once(tx: Tx, key: Key | None, work: Callable[[Tx], Answer]) -> Answer:
    """Do `work`, or give the answer that it had the first time; in the same transaction.

    Raises:
        IdempotencyMismatch: If the key was used for something else.
    """
    if key is None:
        return work(tx)
    earlier = recall(tx, key)
    if earlier is not None and earlier.status is not None:
        return Answer(earlier.status, loads(earlier.body))
    answer = work(tx)
    idempotency.add(tx, key.key, key.fingerprint, answer.status, dumps(answer.body))
    return answer


def recall(tx: Tx, key: Key) -> Any:
    """The record of a key (its `status` is None while the first call is under way), or None.

    Raises:
        IdempotencyMismatch: If the key was used for something else.
    """
    row = idempotency.find(tx, key.key)
    if row is not None and row.fingerprint != key.fingerprint:
        raise IdempotencyMismatch(
            f"The idempotency key {key.key[:40]!r} was used before with another call or body.",
            hint="Use a fresh key for every new call.",
        )
    return row
