"""Studies that a worker leaves alone for a while, because their trials cannot run on its machine.

A file that is missing or code that does not import stops every trial of one study and no trial of
another. Studies are known by name: one that was deleted and made again waits like the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

logger = logging.getLogger(__name__)
# Long enough that a study which stays broken costs next to nothing, short enough that one which
# was mended needs nobody to start the worker again.
_FIRST_S: Final = 300.0
_LONGEST_S: Final = 3600.0
_MOST: Final = 1000
_MOST_TEXT: Final = 1000


@dataclass(frozen=True)
class _Left:
    why: str
    seconds: float
    until: float


class Aside:
    """The studies that are left alone; used from one thread.

    Args:
        served: The only studies that the worker serves, by name; None: all.
        most: So many are kept in mind; the one left alone longest ago is forgotten for another.
    """

    def __init__(self, served: Iterable[str] | None = None, most: int = _MOST) -> None:
        self._served = frozenset(served or ())
        self._most = most
        self._left: dict[str, _Left] = {}

    def put(self, study: str, why: str, now: float) -> bool:
        """Leave a study alone from now on, each time in a row twice as long, up to an hour.

        Returns:
            Whether the worker has no other study to serve.
        """
        before = self._left.pop(study, None)
        if before is not None and now < before.until:
            self._left[study] = before
            return False
        seconds = _FIRST_S if before is None else min(2 * before.seconds, _LONGEST_S)
        self._left[study] = _Left(why[:_MOST_TEXT], seconds, now + seconds)
        while len(self._left) > self._most:
            del self._left[next(iter(self._left))]
        if self._served and self._served <= self.names(now).keys():
            return True
        logger.warning(
            "study %s is left alone: %s Mend that: it is tried again in %g minutes, or at once by"
            " a worker that you start.",
            study,
            why,
            seconds / 60,
        )
        return False

    def ran(self, study: str, now: float) -> None:
        """Forget a study whose trials run again (one that began before it was left says nothing)."""
        before = self._left.get(study)
        if before is not None and now >= before.until:
            del self._left[study]

    def names(self, now: float) -> dict[str, str]:
        """The studies that are left alone, each with the reason."""
        return {name: left.why for name, left in self._left.items() if now < left.until}

    def say(self, now: float, error: str | None) -> None:
        """Say once more, at the worker's end, what is left alone (one study is in its error)."""
        left = self.names(now)
        if error is None or len(left) > 1:
            for name, why in left.items():
                logger.warning("study %s was left alone: %s", name, why)

    def text(self, now: float) -> str:
        """What is left alone and why, in a line; empty if nothing is."""
        left = self.names(now)
        if left.keys() == self._served and len(left) == 1:
            return next(iter(left.values()))
        return " ".join(f"Study {name} is left alone: {why}" for name, why in left.items())
