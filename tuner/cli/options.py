"""Global options, and the annotations that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

_VALUED: Final = ("--url", "--token", "--database-url", "--config")
_FLAGS: Final = ("--debug", "--quiet", "-q")


@dataclass(frozen=True)
class Globals:
    """What stands before the noun, as given."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    config: Path | None = None
    quiet: bool = False
    debug: bool = False


def hoist(args: list[str]) -> list[str]:
    """Move the global options to the front, so that they may stand anywhere.

    What follows `--` is left alone.
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS or ("=" in word and word.partition("=")[0] in _VALUED):
            front.append(word)
        elif word in _VALUED:
            front.append(word)
            front += [value for value in [next(words, None)] if value is not None]
        else:
            rest.append(word)
    return front + rest


Json = Annotated[bool, typer.Option("--json", help="Print the REST objects, unchanged.")]
Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="The trial's number.")]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Show at most this many.")]
All = Annotated[bool, typer.Option("--all", help="Follow all pages.")]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="Else by the end of --output."),
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write here instead of stdout."),
]
