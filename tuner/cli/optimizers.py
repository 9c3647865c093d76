"""`tuner optimizers`: what is known about each optimizer, with its sources."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuner.cli import views
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.session import Session, open_session
from tuner.errors import NotFound, UnknownName
from tuner.optimizers import registry

app = group("What is known about optimizers.")


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the optimizers that a search space may name."""
    session = open_session(ctx, json=json)
    page = _entries(session)
    if json:
        session.out.document(page)
        return
    rows = [
        [
            entry["name"],
            entry.get("title"),
            ", ".join(p["name"] for p in entry["parameters"]),
            entry.get("extra"),
        ]
        for entry in page["items"]
    ]
    session.out.table(("name", "title", "parameters", "extra"), rows)


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="E.g. adam.")],
    json: Json = False,
) -> None:
    """Show an optimizer and where its numbers come from.

    These are its parameters with scales, ranges, defaults and sources.
    """
    session = open_session(ctx, json=json)
    if session.has_store:
        with session.client(create=False) as client:
            entry = client.rest.get_optimizer(name)
    else:
        entry = _local(name)
    if json:
        session.out.document(entry)
        return
    plain = {key: value for key, value in entry.items() if key != "parameters"}
    session.out.fields(plain)
    session.out.text("")
    rows = [
        [
            parameter["name"],
            parameter.get("type"),
            views.domain(parameter),
            parameter.get("scale"),
            parameter.get("default"),
            parameter.get("source"),
        ]
        for parameter in entry["parameters"]
    ]
    session.out.table(("parameter", "type", "domain", "scale", "default", "source"), rows)


def _local(name: str) -> dict[str, Any]:
    """The entry of this installation; errors are those of a server."""
    try:
        return registry.describe(registry.get(name, "name"))
    except UnknownName as error:
        raise NotFound(error.message, hint=error.hint, errors=error.errors) from None


def _entries(session: Session) -> dict[str, Any]:
    """The server's registry, or this installation's where there is no store to ask."""
    if session.has_store:
        with session.client(create=False) as client:
            page: dict[str, Any] = client.rest.list_optimizers()
            return page
    items = [registry.describe(registry.get(name)) for name in registry.names()]
    return {"items": items, "next_cursor": None}
