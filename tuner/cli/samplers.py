"""`tuner samplers`: the registry of samplers with their options."""

from __future__ import annotations

import typer

from tuner.cli.listing import show_registry
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.session import open_session

app = group("What proposes parameters.")


@app.callback()
def _noun() -> None:
    """What proposes parameters."""


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the samplers with their options.

    A study names one, as in --sampler NAME:OPTION=VALUE.
    """
    session = open_session(ctx, json=json)
    show_registry(session, lambda client: client.rest.list_samplers(), "tuner.samplers.registry")
