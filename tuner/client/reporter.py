"""What a trial sends while it runs: measurements and log lines in batches, heartbeats.

Rows are kept until the server has taken them. They go out when there are many, when the last call
is a second ago, or at once where a pruner's answer is awaited. A server that cannot be reached
does not disturb the training: rows wait, up to `MAX_ROWS`, and only the end of the trial insists.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tuner.client import operations
from tuner.client.calls import Retry
from tuner.client.operation import Operation
from tuner.client.transport import Transport
from tuner.errors import (
    Conflict,
    Invalid,
    LeaseLost,
    NotFound,
    TrialFinished,
    TunerError,
    Unavailable,
)

LEASE_LOST: Final = "lease-lost"
MAX_ROWS: Final = 100_000
_BATCH: Final = 64
_ROWS_A_CALL: Final = 1000
_EVERY_S: Final = 1.0
_ASK_STOP_S: Final = 5.0
_AFTER_TROUBLE_S: Final = 5.0
_MAX_LOG: Final = 500_000
_BRIEF: Final = Retry(seconds=1.0)


class Reporter:
    """The link of one running trial to the server; safe to use from several threads.

    Args:
        transport: Sends.
        study: The study's name.
        number: The trial's number.
        lease: The lease that the calls carry.
        heartbeat_s: Seconds between heartbeats when nothing else is sent; None: somebody else
            renews the lease.
    """

    def __init__(
        self,
        transport: Transport,
        study: str,
        number: int,
        lease: str,
        heartbeat_s: float | None = None,
    ) -> None:
        self._transport = transport
        self._at = (study, number, lease)
        self._heartbeat_s = heartbeat_s
        self._guard = threading.Lock()  # of the buffers
        self._sending = threading.Lock()  # one call at a time, so that rows stay in order
        self._rows: list[dict[str, Any]] = []
        self._log: list[str] = []
        self._checkpoint: dict[str, Any] | None = None
        self.known_checkpoint: Path | None = None
        self._last_call = time.monotonic()
        self._not_before = 0.0
        self._error: TunerError | None = None
        self.reason: str | None = None
        self.is_open = True

    @property
    def due_at(self) -> float | None:
        """When (monotonic seconds) something should be sent; None: not by itself."""
        if not self.is_open or self.reason == LEASE_LOST:
            return None
        if self._rows or self._log or self._checkpoint:
            return max(self._last_call + _EVERY_S, self._not_before)
        if self._heartbeat_s is None:
            return None
        return max(self._last_call + self._heartbeat_s, self._not_before)

    def add(self, step: int, values: Mapping[str, float], at_once: bool) -> None:
        """Take one row; sends it, with what waits, if it is time.

        Args:
            step: The step of the row.
            values: Metrics and their values.
            at_once: Whether a decision is awaited.

        Raises:
            AlreadyReported: If the server has another value for the step (perhaps of an earlier
                row of the same batch).
            Unavailable: If `MAX_ROWS` wait for a server that cannot be reached.
        """
        if self.reason == LEASE_LOST:
            return
        with self._guard:
            self._rows.append({"step": step, "values": dict(values)})
            n_rows = len(self._rows)
        self.raise_error()  # of earlier rows; this one is taken
        if n_rows > MAX_ROWS:
            raise Unavailable(
                f"{n_rows} measurements of trial {self._at[1]} of study {self._at[0]!r} wait for"
                " a server that cannot be reached.",
                hint="Report less often, or bring the server back.",
            )
        now = time.monotonic()
        if now < self._not_before:
            return
        if at_once:
            self._try_flush(None)
        elif n_rows >= _BATCH or now >= self._last_call + _EVERY_S:
            self._try_flush(_BRIEF)

    def add_log(self, text: str) -> None:
        """Take a piece of log; the oldest is dropped when too much waits."""
        with self._guard:
            self._log.append(text)
            while len(self._log) > 1 and sum(map(len, self._log)) > _MAX_LOG:
                del self._log[0]

    def set_checkpoint(self, path: str, step: int) -> None:
        """Name the newest checkpoint to the server, after all rows before it.

        Sent at once: an attempt that goes on from it does not make these rows again.
        """
        with self._guard:
            self._checkpoint = {"path": path, "step": step}
        if self.is_open and self.reason != LEASE_LOST and time.monotonic() >= self._not_before:
            try:
                with self._sending:
                    self._send_all_rows(_BRIEF)
            except Unavailable:
                self._not_before = time.monotonic() + _AFTER_TROUBLE_S
            except TunerError as error:
                self._error = self._error or error

    def poll(self) -> str | None:
        """The reason to stop, if one is known; asks the server when it has not been asked lately.

        Raises:
            AlreadyReported: As `add`.
        """
        self.raise_error()
        now = time.monotonic()
        if self.reason is not None or now < self._not_before:
            return self.reason
        waiting = bool(self._rows or self._checkpoint)
        if now >= self._last_call + (_EVERY_S if waiting else _ASK_STOP_S):
            self._try_flush(_BRIEF, renew=True)
        return self.reason

    def renew(self) -> str | None:
        """Send a heartbeat now; the reason to stop, if one is known.

        Raises:
            Unavailable: If the server cannot be reached.
        """
        with self._sending:
            self._call(operations.heartbeat(*self._at), None)
        return self.reason

    def ask_to_stop(self, reason: str) -> None:
        """Take a reason to stop; the first one stands, unless the lease is lost."""
        if self.reason is None or reason == LEASE_LOST:
            self.reason = reason

    def tick(self) -> None:
        """Send what is due, from a background thread; errors wait for the foreground."""
        due = self.due_at
        if due is None or time.monotonic() < due:
            return
        try:
            self._try_flush(_BRIEF, renew=self._heartbeat_s is not None)
        except TunerError as error:
            self._error = self._error or error

    def flush(self, retry: Retry | None = None) -> None:
        """Send everything that waits.

        Raises:
            Unavailable: If the server cannot be reached; what was not taken is kept.
            AlreadyReported: As `add`; the other rows have been sent.
        """
        with self._sending:
            self._send_all_rows(retry)
            while self._log and self.reason != LEASE_LOST:
                self._send_log(retry)

    def raise_error(self) -> None:
        """Raise what a background call has met."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Send nothing more."""
        self.is_open = False

    def _try_flush(self, retry: Retry | None, renew: bool = False) -> None:
        """Send what waits; a server that cannot be reached is tried again later."""
        try:
            if renew and not (self._rows or self._checkpoint):
                with self._sending:
                    self._call(operations.heartbeat(*self._at), retry)
            self.flush(retry)
        except Unavailable:
            self._not_before = time.monotonic() + _AFTER_TROUBLE_S

    def _send_all_rows(self, retry: Retry | None) -> None:
        while self._rows or self._checkpoint:
            self._send_rows(retry)

    def _send_rows(self, retry: Retry | None) -> None:
        with self._guard:
            rows = self._rows[:_ROWS_A_CALL]
            # With the last rows, so that it is never known before what was reported before it.
            checkpoint = self._checkpoint if len(rows) == len(self._rows) else None
        error: TunerError | None = None
        try:
            self._call(operations.report(*self._at, rows, checkpoint), retry)
        except (Conflict, Invalid) as problem:
            # One bad row must not hold up the others: send them one by one, once.
            error = problem if len(rows) <= 1 else self._send_each(rows, retry)
        with self._guard:
            del self._rows[: len(rows)]
            if checkpoint is not None and error is None:
                self.known_checkpoint = Path(checkpoint["path"])
            # It has not gone out when the rows that it was to go with were refused.
            if self._checkpoint is checkpoint and not (error and rows):
                self._checkpoint = None
            if self.reason == LEASE_LOST:
                self._rows.clear()
                self._checkpoint = None
        if error is not None:
            raise error

    def _send_each(self, rows: list[dict[str, Any]], retry: Retry | None) -> TunerError | None:
        first: TunerError | None = None
        for row in rows:
            try:
                self._call(operations.report(*self._at, [row]), retry)
            except (Conflict, Invalid) as error:
                first = first or error
        return first

    def _send_log(self, retry: Retry | None) -> None:
        with self._guard:
            pieces, self._log = self._log, []
        try:
            self._transport.send(operations.append_log(*self._at, "".join(pieces)), retry)
        except (LeaseLost, TrialFinished, NotFound):
            self.reason = LEASE_LOST
        except Unavailable:
            with self._guard:
                self._log[:0] = pieces
            raise

    def _call(self, operation: Operation[dict[str, Any]], retry: Retry | None) -> None:
        """Send and keep the answer's reason to stop; a lost lease is such a reason."""
        try:
            answer = self._transport.send(operation, retry)
        except (LeaseLost, TrialFinished, NotFound):
            self.reason = LEASE_LOST
            return
        finally:
            self._last_call = time.monotonic()
        self._not_before = 0.0
        if answer.get("should_stop"):
            self.ask_to_stop(str(answer.get("reason") or "cancelled"))
