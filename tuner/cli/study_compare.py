"""`tuner study compare`: several studies side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.options import Format, Json, OutputFile
from tuner.cli.output import write_document
from tuner.cli.session import open_session
from tuner.client import formats
from tuner.core.wire import dumps


def compare(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Studies of the same optimizers.")
    ],
    format_: Format = None,
    output: OutputFile = None,
    json: Json = False,
) -> None:
    """Compare optimizers over several studies, each one task.

    Writes ranks per task, performance profiles over tasks and the evidence of each study, as md
    (default), json or html.
    """
    session = open_session(ctx, json=json)
    wanted = format_ or ("json" if json else None)
    chosen = formats.chosen(formats.REPORTS, "md", wanted, output)
    with session.client(create=False) as client:
        body = client.compare(names, chosen)
    text = body if isinstance(body, str) else f"{dumps(body)}\n"
    write_document(session.out, text, output)
