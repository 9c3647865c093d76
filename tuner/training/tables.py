"""Tables from .csv and .parquet files: one row an example, one column the target.

Columns of numbers are inputs as they are; columns of texts become one input for each text
(one-hot). Nothing is filled in and no line is skipped: what is not whole is refused, with its place.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tuner.core.names import nearest
from tuner.errors import BadData
from tuner.training.examples import Examples

MOST_TEXTS: Final = 64
_KEY: Final = "trial.task.dataset"
_SHOWN: Final = 40

Column = tuple[str, np.ndarray[Any, Any]]


def read_table(path: Path, target: str | None) -> Examples:
    """A table with its target.

    Args:
        path: A .csv or .parquet file.
        target: Name of the target's column; None: the last.

    Raises:
        BadData: For a file that cannot be read, or is not whole.
    """
    columns = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    names = [name for name, _ in columns]
    wanted = names[-1] if target is None else target
    if wanted not in names:
        near = nearest(wanted, names)
        raise BadData.at(
            "trial.task.target",
            f"{path} has no column {wanted!r}"
            + (f"; did you mean {near!r}?" if near else f"; its columns: {_some(names)}."),
            found=wanted,
            allowed=names[:_SHOWN],
            nearest=near,
        )
    inputs: list[np.ndarray[Any, Any]] = []
    titles: list[str] = []
    for name, values in columns:
        if name != wanted:
            for title, numbers in _inputs(path, name, values):
                titles.append(title)
                inputs.append(numbers)
    if not inputs:
        raise _refuse(
            path, "it has no column beside the target, so there is nothing to learn from."
        )
    x = torch.from_numpy(np.column_stack(inputs))
    y = dict(columns)[wanted]
    return Examples(str(path), {"train": x}, {"train": y}, columns=tuple(titles))


def _inputs(
    path: Path, name: str, values: np.ndarray[Any, Any]
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The columns of numbers that a column becomes."""
    if values.dtype.kind != "U":
        yield name, values.astype(np.float64)
        return
    texts = np.unique(values)
    if len(texts) > MOST_TEXTS:
        raise _refuse(
            path,
            f"column {name!r} has {len(texts)} different texts; as inputs at most {MOST_TEXTS} go.",
            "Drop the column, or put numbers in their place.",
        )
    for text in texts:
        yield f"{name}={text}", (values == text).astype(np.float64)


def _read_csv(path: Path) -> list[Column]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, None)
            if not header:
                raise _refuse(path, "it is empty.")
            _check_header(path, header)
            cells: list[list[str]] = []
            lines: list[int] = []
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise _refuse(
                        path,
                        f"line {rows.line_num} has {len(row)} cells, the first line"
                        f" {len(header)}.",
                    )
                cells.append(row)
                lines.append(rows.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    if not cells:
        raise _refuse(path, "it has a line of names and no examples.")
    return [
        (name, _numbers_or_texts(path, name, [row[i].strip() for row in cells], lines))
        for i, name in enumerate(header)
    ]


def _check_header(path: Path, header: Sequence[str]) -> None:
    if all(_is_number(cell) for cell in header):
        raise _refuse(
            path, f"its first line must name the columns; it has numbers: {_some(header)}."
        )
    for i, name in enumerate(header):
        if not name.strip():
            raise _refuse(path, f"column {i + 1} has no name.")
        if name in header[:i]:
            raise _refuse(path, f"two columns are named {name!r}.")


def _numbers_or_texts(
    path: Path, name: str, cells: list[str], lines: Sequence[int]
) -> np.ndarray[Any, Any]:
    """A column of a text file: whole numbers, numbers, or texts; a mixture is refused."""
    if "" in cells:
        raise _refuse(
            path,
            f"line {lines[cells.index('')]}, column {name!r}, is empty.",
            "Fill in or drop what is missing first.",
        )
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    else:
        is_whole = all(cell.lstrip("+-").isdigit() for cell in cells)
        return numbers.astype(np.int64) if is_whole else numbers
    odd = [i for i, cell in enumerate(cells) if not _is_number(cell)]
    # A few texts among numbers are mistakes; a column of texts has no numbers.
    if len(odd) < len(cells):
        i = odd[0]
        raise _refuse(
            path,
            f"line {lines[i]}, column {name!r}, is {cells[i][:_SHOWN]!r} among numbers.",
            "Put a number there, or drop the line.",
        )
    return np.array(cells, dtype=np.str_)


def _read_parquet(path: Path) -> list[Column]:
    try:
        # In an extra of its own, and only tables of this kind need it.
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise BadData.at(
            _KEY,
            f"{path}: parquet files need pyarrow.",
            hint="Install tuner[files] where the worker runs.",
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from ValueError
        raise _unreadable(path, error) from error
    if not table.num_columns or not table.num_rows:
        raise _refuse(path, "it has no examples.")
    _check_header(path, table.column_names)
    return [(name, _of_arrow(path, name, table.column(name))) for name in table.column_names]


def _of_arrow(path: Path, name: str, column: Any) -> np.ndarray[Any, Any]:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise _refuse(
            path,
            f"row {row}, column {name!r}, is empty ({column.null_count} in all).",
            "Fill in or drop what is missing first.",
        )
    kind = str(column.type)
    values = np.asarray(column.to_pandas() if kind.startswith("dictionary") else column)
    if values.dtype.kind in "biuf":
        return values.astype(np.int64) if values.dtype.kind == "b" else values
    if values.dtype.kind in "OU" and all(isinstance(value, str) for value in values):
        return values.astype(np.str_)
    raise _refuse(path, f"column {name!r} has values of type {kind}; numbers and texts go.")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    more = "" if len(names) <= 10 else f" and {len(names) - 10} more"
    return ", ".join(name[:_SHOWN] for name in names[:10]) + more


def _unreadable(path: Path, error: Exception) -> BadData:
    return _refuse(path, f"it cannot be read: {' '.join(str(error).split())[:200]}.")


def _refuse(path: Path, text: str, hint: str = "") -> BadData:
    return BadData.at(_KEY, f"{path}: {text}", found=str(path), hint=hint)
