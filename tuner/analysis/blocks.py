"""What a section of a report is made of, before it is written as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.wording import Table


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text; `is_lead` for the one that says the result."""

    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """A table with its caption."""

    table: Table
    caption: str
    is_wide: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure: how to read it, and its numbers as a table.

    Args:
        key: The figure's name on the page.
        caption: One or two sentences.
        table: What is drawn, in few rows.
    """

    key: str
    caption: str
    table: Table


@dataclass(frozen=True)
class Code:
    """A program, with what it is."""

    text: str
    caption: str
    language: str = "python"


Block = Text | Bullets | Sheet | Chart | Code


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; `key` is its address on the page."""

    key: str
    title: str
    blocks: Sequence[Block]
