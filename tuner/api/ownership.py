"""Ownership of a local database: a lock held while this process lives, and its published address.

Only one process may open an SQLite file for writing. The lock is the operating system's, so it
ends with the process however that ends; the owner's file tells local clients where to call.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from tuner.core.wire import dumps
from tuner.errors import DatabaseUnavailable, StoreOwned
from tuner.settings import EmbeddedStore

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_WAIT_S: Final = 5.0
_POLL_S: Final = 0.05


class Former(NamedTuple):
    """The address of an owner that was killed and could not withdraw it."""

    port: int
    token: str


class Ownership:
    """The right to serve a database, from `acquire` until `release`.

    Args:
        store: The database and the files of its owner.
        lock: The open, locked file.
        predecessor: What the owner before has left, if it was killed.
    """

    def __init__(
        self, store: EmbeddedStore, lock: IO[str], predecessor: Former | None = None
    ) -> None:
        self.store = store
        self.predecessor = predecessor
        self._lock = lock
        self._published = False
        self._database: os.stat_result | None = None

    @classmethod
    def acquire(cls, store: EmbeddedStore, wait_s: float = _WAIT_S) -> Self:
        """Take the lock.

        An owner that has published no address is starting or ending: it is waited for.

        Args:
            store: The database.
            wait_s: How long to wait for an owner without an address, in seconds.

        Raises:
            StoreOwned: If another process owns it, with its address and process id.
            DatabaseUnavailable: If the lock file cannot be made.
        """
        try:
            store.lock_file.parent.mkdir(parents=True, exist_ok=True)
            lock = store.lock_file.open("a+", encoding="ascii")
        except OSError as error:
            raise DatabaseUnavailable(
                f"{store.lock_file} cannot be opened: {error.strerror}.",
                hint="The owner of a database needs to write beside it.",
            ) from error
        deadline = time.monotonic() + wait_s
        while not _try_lock(lock):
            owner = _read_owner(store.owner_file)
            if owner is not None or time.monotonic() > deadline:
                lock.close()
                raise _owned(store, owner)
            time.sleep(_POLL_S)
        # What a killed owner left says nothing to clients any more.
        predecessor = _former(store.owner_file)
        store.owner_file.unlink(missing_ok=True)
        return cls(store, lock, predecessor)

    def publish(self, url: str, token: str) -> None:
        """Write the address and token where only this user's processes can read them."""
        if self.store.file is not None and self.store.file.exists():
            self._database = self.store.file.stat()
        started = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
        record = {"url": url, "token": token, "pid": os.getpid(), "started_at": started}
        file = self.store.owner_file
        draft = file.with_name(f"{file.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(dumps(record))
        draft.replace(file)
        self._published = True

    def lost(self) -> Path | None:
        """The lock or database file that others do not see any more, None if both are there.

        A lock on a removed file guards nothing, and what is written to one is lost.
        """
        if not _is_same(self.store.lock_file, os.fstat(self._lock.fileno())):
            return self.store.lock_file
        file, opened = self.store.file, self._database
        gone = file is not None and opened is not None and not _is_same(file, opened)
        return file if gone else None

    def withdraw(self) -> None:
        """Remove the address, so that no new client comes; the lock stays."""
        if self._published and self.lost() != self.store.lock_file:
            self.store.owner_file.unlink(missing_ok=True)
        self._published = False

    def release(self) -> None:
        """Withdraw the address and give the lock up."""
        self.withdraw()
        self._lock.close()


def _is_same(file: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), opened)
    except OSError:
        return False


def _owned(store: EmbeddedStore, owner: dict[str, Any] | None) -> StoreOwned:
    name = store.file or "The PostgreSQL database"
    if owner is None:
        return StoreOwned(
            f"{name} is owned by another process.", hint=f"It holds {store.lock_file}."
        )
    return StoreOwned(
        f"{name} is owned by process {owner['pid']}, which serves it at {owner['url']}.",
        hint="Use that address, or stop that process first.",
    )


def _read_owner(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and {"url", "pid"} <= set(data) else None


def _former(file: Path) -> Former | None:
    """The address in an owner's file that only this user could have written."""
    try:
        status = file.stat()
        data = json.loads(file.read_bytes())
        port, token = urlsplit(data["url"]).port, data["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    mine = not hasattr(os, "getuid") or (
        status.st_uid == os.getuid() and not status.st_mode & 0o077
    )
    return Former(port, token) if mine and port and isinstance(token, str) and token else None


def _try_lock(lock: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
