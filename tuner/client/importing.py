"""Importing trials in batches, so that other writers get in between."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tuner.errors import TunerError

if TYPE_CHECKING:
    from tuner.client.rest import Rest

BATCH: Final = 500
_PLACE: Final = re.compile(r"trials\[(\d+)\]")


def import_trials(
    rest: Rest, study: str, trials: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Import finished trials, `BATCH` in a transaction; each of these is taken whole or not at all.

    Args:
        rest: The server.
        study: The study's name.
        trials: As the REST API takes them.

    Returns:
        The new trials.

    Raises:
        TunerError: Of the batch that was refused; it says how many trials are in already, and
            counts from the first of all.
    """
    made: list[dict[str, Any]] = []
    for start in range(0, len(trials), BATCH):
        try:
            answer = rest.add_trials(study, {"trials": list(trials[start : start + BATCH])})
        except TunerError as error:
            if start == 0:
                raise
            raise _counted(error, start) from error
        made += answer["trials"]
    return made


def _counted(error: TunerError, start: int) -> TunerError:
    """The error of a batch, as one of the whole import."""

    def place(match: re.Match[str]) -> str:
        return f"trials[{int(match[1]) + start}]"

    hint = f"The first {start} trials have been imported; import the rest once it is right."
    return type(error)(
        _PLACE.sub(place, error.message),
        hint=f"{error.hint} {hint}".strip(),
        errors=tuple(replace(item, path=_PLACE.sub(place, item.path)) for item in error.errors),
        request_id=error.request_id,
    )
