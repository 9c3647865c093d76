"""The reference page of all commands, from their own help: `python -m tuner.cli.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from typer.main import get_command

from tuner.cli.main import app

_HEAD: Final = """\
# Command line

This page is what `tuner … --help` prints. Write it anew with
`python -m tuner.cli.reference > docs/cli.md`; a test compares the two.
"""


def page() -> str:
    """The whole page as Markdown."""
    root: Any = get_command(app)
    context = root.make_context("tuner", [], resilient_parsing=True, terminal_width=98)
    parts = [_HEAD, *_sections(root, context, "tuner")]
    return "\n".join(parts)


def _sections(command: Any, context: Any, path: str) -> Iterator[str]:
    """The help of a command, then those of the commands below it."""
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    level = "#" * (path.count(" ") + 2)
    yield f"{level} {path}\n\n```text\n{text}\n```\n"
    if not hasattr(command, "list_commands"):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is None or child.hidden:
            continue
        inner = child.make_context(
            name, [], parent=context, resilient_parsing=True, terminal_width=98
        )
        yield from _sections(child, inner, f"{path} {name}")


if __name__ == "__main__":
    sys.stdout.write(page())
