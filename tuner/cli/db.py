"""`tuner db`: create, upgrade and check a database; the only command that changes its schema."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from tuner.cli import optional
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.session import Session, open_session
from tuner.errors import EXIT_FAILED
from tuner.settings import embedded_store

app = group("Create, upgrade and check a database.")
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", metavar="URL", help="sqlite:///FILE or postgresql://…"),
]


@app.command()
def upgrade(ctx: typer.Context, database_url: DatabaseUrl = None) -> None:
    """Create the schema of a database, or bring it up to date."""
    session = open_session(ctx)
    url = _url(session, database_url)
    store = embedded_store(url)
    schema = optional.load("tuner.storage.schema", "server")
    ownership = optional.load("tuner.api.ownership", "server").Ownership
    # a database may be changed only while no process serves it
    owned = ownership.acquire(store) if store.file is not None else None
    try:
        revision = schema.upgrade(url)
    finally:
        if owned is not None:
            owned.release()
    session.out.text(revision)
    session.out.say("The database is up to date.")


@app.command()
def current(ctx: typer.Context, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Print the schema's revision; changes nothing."""
    session = open_session(ctx, json=json)
    status = _status(_url(session, database_url))
    if json:
        session.out.document(dataclasses.asdict(status))
    else:
        session.out.text(status.found or status.status)


@app.command()
def check(ctx: typer.Context, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Check that the database fits this version.

    Changes nothing; the exit code is not 0 if it does not fit.
    """
    session = open_session(ctx, json=json)
    url = _url(session, database_url)
    schema = optional.load("tuner.storage.schema", "server")
    status = schema.inspect_schema(url)
    differences = schema.differences(url) if status.status == "current" else []
    if json:
        session.out.document({**dataclasses.asdict(status), "differences": differences})
    else:
        session.out.fields(dataclasses.asdict(status))
        for difference in differences:
            session.out.text(f"differs: {difference}")
    if status.status != "current" or differences:
        schema.refuse(status, url)
        raise typer.Exit(EXIT_FAILED)


def _status(url: str) -> Any:
    return optional.load("tuner.storage.schema", "server").inspect_schema(url)


def _url(session: Session, given: str | None) -> str:
    return embedded_store(given or session.settings.database_url).database_url
