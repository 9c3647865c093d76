"""The embedded store: finds the process that owns a local database, or starts one.

The owner (`python -m tuner server start --embedded FILE`) holds a lock beside the database, writes
its address and a random token into a file that only the user can read, and ends by itself when it
is idle. Whoever finds none starts one; of two that start at once the lock lets one live, and the
other's caller uses it. Nothing of the server is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import httpx2

from tuner.client.endpoint import Address, check_address, is_loopback
from tuner.errors import EXIT_CONFLICT, DatabaseUnavailable, NotFound, TunerError
from tuner.settings import DATABASE_URL, EmbeddedStore, child_environment

_START_S: Final = 60.0
_POLL_S: Final = 0.03
_AGAIN_S: Final = 0.5
_CHECK_S: Final = 5.0
_LOG_BYTES: Final = 1_000_000


class Embedded:
    """The endpoint of a local database.

    Args:
        store: The database and the files of its owner.
        create: Whether a database that is not there may be made.
    """

    def __init__(self, store: EmbeddedStore, create: bool = True) -> None:
        self.store = store
        self._create = create
        self._lock = threading.Lock()
        self._found: Address | None = None

    def address(self) -> Address:
        """The owner's address; it is found or started at the first call.

        Raises:
            NotFound: If there is no database and none may be made.
            DatabaseUnavailable: If no owner could be started, with what it said last.
        """
        found = self._found
        return found if found is not None else self.renew(None)

    def renew(self, lost: Address | None) -> Address:
        """Find or start the owner, unless another thread has done so since `lost`.

        Raises:
            NotFound: As `address`.
            DatabaseUnavailable: As `address`.
        """
        with self._lock:
            if self._found is None or self._found == lost:
                self._found = self._locate()
            return self._found

    def hint(self) -> str:
        """Where to look when the owner ends again and again."""
        return f"The store's owner keeps ending; see {self.store.log_file}."

    def _locate(self) -> Address:
        self._refuse_missing()
        deadline = time.monotonic() + _START_S
        starter: _Starter | None = None
        while True:
            address = read_owner(self.store.owner_file)
            if address is not None and _answers(address):
                return address
            if starter is None or starter.has_lost():
                starter = _Starter(self.store)
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"No owner of {self._name()} answered within {_START_S:g} s.",
                    hint=f"See {self.store.log_file}.",
                )
            time.sleep(_POLL_S)

    def _refuse_missing(self) -> None:
        file = self.store.file
        if file is None or self._create or file.exists():
            return
        raise NotFound(
            f"There is no store at {file}.",
            hint="Create a study first, or name another store with TUNER_DATABASE_URL.",
        )

    def _name(self) -> str:
        return str(self.store.file or "the PostgreSQL database")


class _Starter:
    """One attempt to start an owner."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self._ended_at: float | None = None
        try:
            store.base.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _too_long(store.log_file)
            log = os.open(store.log_file, flags, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(
                f"The folder {store.base.parent} cannot be written: {error.strerror}.",
                hint="An embedded store needs a folder for its database and its owner's files.",
            ) from error
        try:
            self._log_start = os.fstat(log).st_size
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuner", "server", "start", "--embedded", store.argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=store.base.parent,
                env=child_environment({DATABASE_URL: store.database_url}),
                start_new_session=True,
            )
        finally:
            os.close(log)
        # Waits for the end in the background: no zombie stays, and nobody waits at exit.
        threading.Thread(target=self._process.wait, name="tuner-owner", daemon=True).start()

    def has_lost(self) -> bool:
        """Whether this process ended because another one owns the store, some time ago.

        Raises:
            DatabaseUnavailable: If it ended for another reason, with its last words.
        """
        code = self._process.returncode
        if code is None:
            return False
        if code not in (0, EXIT_CONFLICT):
            message, hint = self._last_words()
            raise DatabaseUnavailable(message, hint=hint or f"See {self._store.log_file}.")
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        return now - self._ended_at > _AGAIN_S

    def _last_words(self) -> tuple[str, str]:
        """The error that it printed at its end, as message and hint."""
        try:
            with self._store.log_file.open("rb") as file:
                file.seek(self._log_start)
                text = file.read(_LOG_BYTES).decode("utf-8", "replace")
        except OSError:
            text = ""
        message, _, hint = text.rpartition("Error: ")[2].strip().partition("\n")
        return message or "it said nothing.", hint


def read_owner(file: Path) -> Address | None:
    """The address in an owner's file; None if there is none or it cannot be trusted."""
    try:
        stat = file.stat()
        data = json.loads(file.read_bytes())
        address = check_address(str(data["url"]), str(data["token"]))
    except (OSError, ValueError, KeyError, TypeError, TunerError):
        return None
    mine = not hasattr(os, "getuid") or stat.st_uid == os.getuid()
    return address if mine and is_loopback(address.url) else None


def _answers(address: Address) -> bool:
    """Whether the owner of this token answers (a port may be another process's by now)."""
    headers = {"authorization": f"Bearer {address.token}"}
    try:
        response = httpx2.get(
            f"{address.url}/api/v1/studies",
            params={"limit": "1"},
            headers=headers,
            timeout=_CHECK_S,
            trust_env=False,
            verify=not address.url.startswith("http://"),
        )
    except httpx2.TransportError:
        return False
    return response.status_code in (200, 503)


def _too_long(log: Path) -> int:
    """The flag that empties a log that has grown too long."""
    try:
        return os.O_TRUNC if log.stat().st_size > _LOG_BYTES else 0
    except OSError:
        return 0
