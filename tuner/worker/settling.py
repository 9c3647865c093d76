"""Telling the server how attempts ended, and their logs, without holding up the agent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from tuner.client import operations
from tuner.client.calls import Retry
from tuner.client.checkpoints import Checkpoints
from tuner.client.client import Client
from tuner.client.keeping import checkpoint_folder, let_go
from tuner.client.runner import Outcome
from tuner.core.lifecycle import Reason
from tuner.errors import Conflict, Invalid, NotFound, TunerError, Unavailable
from tuner.worker.attempt import Attempt
from tuner.worker.executors.base import Exit

logger = logging.getLogger(__name__)
_THREADS: Final = 4
_LOG_THREADS: Final = 2
_AGAIN_S: Final = 1.0
_MOST_TEXT: Final = 200_000
_BRIEF: Final = Retry(seconds=5.0, first_seconds=5.0)


class Settling:
    """Sends outcomes and logs in the background; an outcome is sent until it has been answered.

    Args:
        client: Sends.
        on_settled: Called from a thread with the lease of an attempt that is settled.
    """

    def __init__(self, client: Client, on_settled: Callable[[str], None]) -> None:
        self._client = client
        self._on_settled = on_settled
        self._pool = ThreadPoolExecutor(_THREADS, "tuner-settle")
        # Apart, so that neither waits for the other while the server is away.
        self._log_pool = ThreadPoolExecutor(_LOG_THREADS, "tuner-log")
        self._give_up_at = float("inf")
        self._hurry = threading.Event()

    def settle(self, attempt: Attempt, end: Exit | Outcome) -> None:
        """Send the rest of the log and the outcome, in the background."""
        self._pool.submit(self._settle, attempt, end)

    def ship_log(self, attempt: Attempt) -> None:
        """Send what the attempt has written since the last time, in the background."""
        if not attempt.is_shipping:
            attempt.is_shipping = True
            self._log_pool.submit(self._ship, attempt)

    def close(self, seconds: float) -> None:
        """Wait until everything is sent, trying for up to `seconds` more."""
        self._give_up_at = time.monotonic() + seconds
        self._hurry.set()
        self._log_pool.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=True)

    def _ship(self, attempt: Attempt) -> None:
        attempt.is_shipping = False
        if not attempt.sending.acquire(blocking=False):
            return
        try:
            attempt.unsent += attempt.log.read()
            self._send_log(attempt)
        except (TunerError, OSError) as error:
            logger.debug("log of %s: %s", attempt.name, error)
        finally:
            attempt.sending.release()

    def _settle(self, attempt: Attempt, end: Exit | Outcome) -> None:
        try:
            with attempt.sending:
                attempt.unsent += attempt.log.read(final=True)
                outcome = end if isinstance(end, Outcome) else attempt.conclude(end)
                how = outcome.reason or outcome.state or outcome.action
                logger.info("%s ends: %s", attempt.name, how)
                while not self._try_settle(attempt, outcome):
                    if time.monotonic() >= self._give_up_at:
                        logger.error(
                            "%s: the outcome could not be sent; it comes back when its lease runs"
                            " out",
                            attempt.name,
                        )
                        break
                    self._hurry.wait(_AGAIN_S)
                    time.sleep(0.05)
        except Exception:
            logger.exception("%s: no outcome is sent", attempt.name)
        finally:
            self._on_settled(attempt.lease)

    def _try_settle(self, attempt: Attempt, outcome: Outcome) -> bool:
        """One try; False if the server is away and it is worth another."""
        try:
            self._send_log(attempt)
            self._send_outcome(attempt, outcome)
        except (Unavailable, OSError) as error:  # OSError: a store's owner cannot be started
            logger.debug("%s: %s", attempt.name, error)
            return False
        except (Conflict, NotFound) as error:
            logger.warning("%s: %s", attempt.name, error)
        except TunerError as error:
            logger.error("%s: %s", attempt.name, error)  # noqa: TRY400  the server's words say it all
        return True

    def _send_log(self, attempt: Attempt) -> None:
        while attempt.unsent:
            piece = attempt.unsent[:_MOST_TEXT]
            try:
                self._client.transport.send(operations.append_log(*attempt.place, piece), _BRIEF)
            except (Conflict, Invalid, NotFound):
                attempt.unsent = ""
                return
            attempt.unsent = attempt.unsent[len(piece) :]

    def _send_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        if outcome.action == "nothing":
            return
        if outcome.action == "release":
            reason = outcome.reason or Reason.PREEMPTED
            operation = operations.release(*attempt.place, reason, outcome.message)
            self._client.transport.send(operation, _BRIEF)
            return
        state = outcome.state or "fail"
        operation = operations.tell(
            *attempt.place, state, outcome.values, outcome.reason, outcome.message
        )
        try:
            told = self._client.transport.send(operation, _BRIEF)
        except Invalid as error:
            if state != "complete":
                raise
            # Nothing was told, and what was reported is not the objective.
            fail = Outcome("tell", "fail", None, Reason.NO_RESULT, error.message)
            self._send_outcome(attempt, replace(fail))
            return
        let_go(Checkpoints(checkpoint_folder(self._client, attempt.trial)), told)
