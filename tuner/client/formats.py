"""Which format a document is written in: the one that is named, else the one its file's name says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tuner.core.names import nearest
from tuner.errors import Invalid

REPORTS: Final = ("json", "md", "html")
EXPORTS: Final = ("jsonl", "csv", "parquet")


def chosen(known: tuple[str, ...], default: str, given: str | None, file: Path | None) -> str:
    """The format of a document.

    Args:
        known: The formats there are; each is also the end of a file's name.
        default: For a file whose name has no end, and where there is no file.
        given: The format that was named.
        file: Where the document is written.

    Raises:
        Invalid: For a format that does not exist, or an end that names none.
    """
    listed = ", ".join(known)
    if given is not None:
        if given in known:
            return given
        near = nearest(given, known)
        raise Invalid(
            f"The format {given!r} is not known here.",
            hint=f"Did you mean {near!r}?" if near else f"Known: {listed}.",
        )
    if file is None or not file.suffix:
        return default
    suffix = file.suffix[1:].lower()
    if suffix not in known:
        raise Invalid(
            f"The name {file.name!r} does not say which format to write: {listed}.",
            hint=f"Let it end in {' or '.join(f'.{name}' for name in known)}, or name the format.",
        )
    return suffix
