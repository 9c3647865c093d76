"""The one place that prints: tables for people, plain text for pipes, JSON for programs.

Data goes to stdout, talk to stderr. rich decides on colour, and honours NO_COLOR and dumb
terminals by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuner.errors import Invalid

_STYLES: Final = {
    "complete": "green",
    "pruned": "yellow",
    "fail": "red",
    "running": "cyan",
    "waiting": "dim",
    "active": "cyan",
    "paused": "yellow",
    "finished": "green",
}


class Output:
    """Where a command's data and talk go.

    Args:
        json: Print data as JSON (`document`) where a command offers both.
        quiet: Leave out the talk.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.talk = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether stderr is a terminal that can be redrawn."""
        return self.talk.is_terminal and not self.talk.is_dumb_terminal and not self.quiet

    def document(self, value: Any) -> None:
        """Print one JSON value, indented."""
        self.text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2))

    def line(self, value: Any) -> None:
        """Print one JSON value on one line and flush, for streams of them."""
        self.text(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """Print text as it is."""
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")

    def say(self, text: str, style: str = "") -> None:
        """Talk on stderr, unless quiet."""
        if not self.quiet:
            self.talk.print(Text(text, style=style))

    def warn(self, study: Mapping[str, Any]) -> None:
        """Say what the server warns of in the answer to a creation."""
        for warning in study.get("warnings", ()):
            self.say(f"Warning: {warning}", style="yellow")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table: ruled and coloured on a terminal, aligned plain columns in a pipe.

        Args:
            columns: Headings; one that starts with `>` is aligned to the right.
            rows: Cells; None is shown as `-`, numbers short.
        """
        cells = [[cell(value) for value in row] for row in rows]
        if not self.console.is_terminal:
            self.text(plain_table(columns, cells))
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            right = column.startswith(">")
            table.add_column(column.lstrip(">"), justify="right" if right else "left")
        for row in cells:
            table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
        self.console.print(table, soft_wrap=False)

    def fields(self, pairs: Mapping[str, Any]) -> None:
        """Names and values below each other; those that are None are left out."""
        shown = {name: value for name, value in pairs.items() if value is not None}
        width = max((len(name) for name in shown), default=0)
        for name, value in shown.items():
            text = cell(value)
            if self.console.is_terminal:
                style = _STYLES.get(text, "")
                self.console.print(Text.assemble((name.ljust(width), "bold"), "  ", (text, style)))
            else:
                self.text(f"{name.ljust(width)}  {text}")


def plain_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Columns aligned with two spaces between them, without colour or rules."""
    right = [column.startswith(">") for column in columns]
    lines = [[column.lstrip(">").upper() for column in columns], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    texts = []
    for line in lines:
        padded = [
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        ]
        texts.append("  ".join(padded).rstrip())
    return "\n".join(texts)


def cell(value: Any) -> str:
    """One value as short text on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or "-"
    return " ".join(str(value).split())


def write_document(out: Output, body: str | bytes, file: Path | None) -> None:
    """Print a document that the server made, or write it to a file.

    Raises:
        Invalid: For binary data and a terminal, or a file that cannot be written.
    """
    data = body.encode() if isinstance(body, str) else body
    if file is None or str(file) == "-":
        if isinstance(body, bytes) and sys.stdout.isatty():
            raise Invalid("The document is binary.", hint="Name a file with --output.")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Invalid(
            f"{file} cannot be written: {error.strerror}.", hint="Name another file."
        ) from error
    out.say(f"Wrote {file} ({len(data):,} bytes).")
