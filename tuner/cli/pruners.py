"""`tuner pruners`: the registry of pruners with their options."""

from __future__ import annotations

import typer

from tuner.cli.listing import show_registry
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.session import open_session

app = group("What stops trials early.")


@app.callback()
def _noun() -> None:
    """What stops trials early."""


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the pruners with their options.

    A study names one, as in --pruner NAME:OPTION=VALUE.
    """
    session = open_session(ctx, json=json)
    show_registry(session, lambda client: client.rest.list_pruners(), "tuner.pruners.registry")
