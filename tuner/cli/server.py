"""`tuner server start`: the REST API over a database."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli import optional
from tuner.cli.nouns import group
from tuner.cli.session import open_session

app = group("Serve studies over HTTP.")


@app.callback()
def _noun() -> None:
    """Serve studies over HTTP."""


@app.command()
def start(
    ctx: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="Address to listen on; beyond this machine needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="PORT", help="0 takes a free one.")
    ] = 8000,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="sqlite:///FILE or postgresql://…; else tuner.db."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that others reach it by. May be repeated."),
    ] = None,
    embedded: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start a server.

    An empty database gets its schema, an outdated one is refused.
    The access token is TUNER_TOKEN; on this machine only it may be left out.
    """
    session = open_session(ctx)
    serve = optional.load("tuner.api.serve", "server")
    if embedded is not None:
        raise typer.Exit(serve.serve_embedded(embedded))
    code = serve.serve(
        database_url or session.settings.database_url,
        host=host,
        port=port,
        token=session.settings.token,
        allowed_hosts=allowed_host or (),
    )
    raise typer.Exit(code)
