"""What reports and exports are made from, read in one snapshot."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from tuner.analysis.diagnosis.examine import COMPARED, curve_metrics, examined
from tuner.service.specification import spec_of
from tuner.service.state import study_of
from tuner.service.studies import view
from tuner.service.views import trial_view
from tuner.storage import measurements, trials
from tuner.storage.engine import Tx

ENTRY: Final = "tuner.analysis.entry:run"
_MOST_MEASUREMENTS: Final = 2_000_000
_PAGE: Final = 5000


class Document(NamedTuple):
    """A rendered report or export."""

    content_type: str
    body: str | bytes


class ChangeMark(NamedTuple):
    """A value that changes whenever the study does; measurements of running trials do not count."""

    study_id: int
    updated_at: float
    is_running: bool


def change_mark(tx: Tx, name: str) -> ChangeMark:
    """What a rendered document of the study may be kept by."""
    study = study_of(tx, name)
    return ChangeMark(study.id, study.updated_at, study.n_running > 0)


def gather(tx: Tx, name: str, kind: str) -> dict[str, Any]:
    """The study, its trials and (for a report or advice) its measurements as plain data.

    Of every trial the objectives and constraints are read; of the trials that are examined in
    detail (all of them in an ordinary study) every metric.
    """
    study = study_of(tx, name)
    data: dict[str, Any] = {
        "study": view(tx, study),
        "trials": [trial_view(row, name) for row in _all_trials(tx, study.id)],
    }
    if kind != "export":
        data["measurements"] = _columns(_rows(tx, study, kind, data))
    return data


def _rows(tx: Tx, study: Row[Any], kind: str, data: Mapping[str, Any]) -> Iterable[Row[Any]]:
    if kind == "importance":
        wanted = list(spec_of(study.spec).metrics)
        return measurements.of_study(tx, study.id, _MOST_MEASUREMENTS, wanted)
    numbers = examined(data["study"], data["trials"])
    if len(numbers) == len(data["trials"]):
        return measurements.of_study(tx, study.id, _MOST_MEASUREMENTS)
    wanted = curve_metrics(data["study"])
    return measurements.of_study(tx, study.id, _MOST_MEASUREMENTS, wanted, numbers)


def gather_several(tx: Tx, names: Sequence[str]) -> dict[str, Any]:
    """Several studies as plain data, with the measurements that a comparison reads."""
    return {"studies": [_compared(tx, name, _MOST_MEASUREMENTS // len(names)) for name in names]}


def _compared(tx: Tx, name: str, most: int) -> dict[str, Any]:
    study = study_of(tx, name)
    spec = spec_of(study.spec)
    wanted = [*spec.metrics, *(bound.metric for bound in spec.constraints), *COMPARED]
    rows = measurements.of_study(tx, study.id, most, sorted(set(wanted)))
    return {
        "study": view(tx, study),
        "trials": [trial_view(row, name) for row in _all_trials(tx, study.id)],
        "measurements": _columns(rows),
    }


def _columns(rows: Iterable[Row[Any]]) -> dict[str, Any]:
    """Measurements as arrays, in the form that `analysis.entry` takes.

    A million mappings would cost a gigabyte, and sending them to the pool would hold up every
    other call for seconds.
    """
    whole = {name: array("q") for name in ("number", "attempt", "step", "metric")}
    values = array("d")
    metrics: dict[str, int] = {}
    number, attempt, step, metric = whole.values()
    for row in rows:
        number.append(row.number)
        attempt.append(row.attempt)
        step.append(row.step)
        metric.append(metrics.setdefault(row.metric, len(metrics)))
        values.append(math.nan if row.value is None else row.value)
    return {**whole, "value": values, "metrics": list(metrics)}


def _all_trials(tx: Tx, study_id: int) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    after = None
    while True:
        page = trials.page(tx, study_id, after=after, limit=_PAGE)
        rows += page
        if len(page) < _PAGE:
            return rows
        after = (None, page[-1].number)
