"""A study's trials as files: JSON Lines, CSV and Parquet.

JSON Lines holds one Trial object a line, unchanged. CSV and Parquet hold a row a trial, with
columns for the fields, one `params.<name>` a parameter and one `values.<metric>` a metric.

In CSV an inactive parameter is an empty cell, a text is written as it is, everything else as
JSON (so `true`, `1` and non-finite values as `NaN`, `Infinity`, `-Infinity`). Text that a
spreadsheet could run as a formula is not altered: a CSV is data, open it as such.
In Parquet numbers are typed and non-finite values are real ones; a column whose values are of
several kinds (a categorical of 1, true and "1") is text, as in CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tuner.core.wire import decode_metric
from tuner.errors import FieldError, UnknownName

FORMATS = ("jsonl", "csv", "parquet")
FIELDS = (
    "number",
    "state",
    "diverged",
    "reason",
    "attempt",
    "worker_id",
    "created_at",
    "started_at",
    "finished_at",
)


def export(
    study: Mapping[str, Any], trials: Iterable[Mapping[str, Any]], format: str = "jsonl"
) -> str | bytes:
    """The study's trials in one of `FORMATS`.

    Args:
        study: The Study object; gives columns their order.
        trials: Trial objects.
        format: `jsonl`, `csv` (both text) or `parquet` (bytes).

    Raises:
        UnknownName: If the format is none of these.
    """
    rows = sorted(trials, key=lambda trial: int(trial["number"]))
    if format == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if format == "csv":
        return _csv(study, rows)
    if format == "parquet":
        return _parquet(study, rows)
    raise UnknownName(
        f"Unknown export format {format!r}.",
        hint=f"Use one of {', '.join(FORMATS)}.",
        errors=[FieldError("format", format, list(FORMATS))],
    )


def _names(first: Iterable[str], rows: Iterable[Mapping[str, Any] | None]) -> list[str]:
    """Declared names first, in their order, then others in the order they appear."""
    names = dict.fromkeys(first)
    for row in rows:
        names.update(dict.fromkeys(row or ()))
    return list(names)


def _columns(study: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    declared = (study.get("expanded_space") or {}).get("parameters") or {}
    metrics = [item["metric"] for item in study.get("objectives") or ()]
    columns: dict[str, list[Any]] = {key: [row.get(key) for row in rows] for key in FIELDS}
    for name in _names(declared, (row.get("params") for row in rows)):
        columns[f"params.{name}"] = [(row.get("params") or {}).get(name) for row in rows]
    for name in _names(metrics, (row.get("values") for row in rows)):
        columns[f"values.{name}"] = [(row.get("values") or {}).get(name) for row in rows]
    return columns


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv(study: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    columns = _columns(study, rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        [_text(value) for value in row] for row in zip(*columns.values(), strict=True)
    )
    return out.getvalue()


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    if name.startswith("values."):
        return pa.array([decode_metric(value) for value in values], pa.float64())
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    # JSON integers have no bound, 64-bit columns do
    fits = all(-(2**63) <= v < 2**63 for v in values if isinstance(v, int))
    if kinds == {int} and fits:
        return pa.array(values, pa.int64())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _parquet(study: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bytes:
    columns = _columns(study, rows)
    table = pa.table({name: _array(name, values) for name, values in columns.items()})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
