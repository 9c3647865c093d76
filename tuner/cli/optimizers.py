"""`tuner optimizers`: what is known about each optimizer, with its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli import studyfile, views
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.output import write_document
from tuner.cli.session import Session, open_session
from tuner.errors import NotFound, UnknownName
from tuner.optimizers import registry
from tuner.optimizers.recommend import recommend
from tuner.optimizers.situation import MODELS, read
from tuner.tasks.filling import fill

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


@app.command("recommend")
def recommend_(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Architecture: {', '.join(MODELS)}.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A built-in data set; fills in model and examples."),
    ] = None,
    examples: Annotated[
        str | None, typer.Option(metavar="N", help="Training examples, e.g. 50000.")
    ] = None,
    params: Annotated[
        str | None, typer.Option(metavar="N", help="Trainable weights, e.g. 1.2e6.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="N", help="Examples a step, or full (64).")
    ] = None,
    trials: Annotated[
        str | None, typer.Option(metavar="N", help="Trials over all optimizers.")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option(metavar="S", help="Seconds of training over all optimizers.")
    ] = None,
    gpus: Annotated[str | None, typer.Option(metavar="N", help="GPUs of one trial.")] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the study file; - is stdout.")
    ] = None,
    json: Json = False,
) -> None:
    """Recommend optimizers for a model, a data size and a budget.

    Each comes with its reasons and their sources; --write makes the study that compares them,
    sized to the trials.
    """
    session = open_session(ctx, json=json)
    given = {
        "model": model,
        "dataset": dataset,
        "examples": examples,
        "params": params,
        "batch": batch,
        "trials": trials,
        "seconds": seconds,
        "gpus": gpus,
    }
    if session.has_store:
        with session.client(create=False) as client:
            found = client.rest.recommend(**given)
    else:
        found = recommend(read(fill(given)))
    if write is not None:
        write_document(session.out, studyfile.to_yaml(found["study"]), write)
    elif json:
        session.out.document(found)
    else:
        _show_recommendation(session, found)


def _show_recommendation(session: Session, found: dict[str, Any]) -> None:
    out = session.out
    rows = [
        [entry["name"], entry["points"], reason["text"], _source(reason)]
        for entry in found["optimizers"]
        for reason in entry["reasons"]
    ]
    out.table(("optimizer", ">points", "because", "source"), rows)
    for row in found["settings"]:
        out.text(f"{row['key']}: {row['value']} - {row['text']} ({_source(row)})")
    for row in found["left_out"]:
        out.text(f"Not {row['name']}: {row['text']} ({_source(row)})")
    for note in found["notes"]:
        out.say(note)
    out.say("The study that compares them: the same command with --write study.yaml")


def _source(row: dict[str, Any]) -> str:
    return "our judgement" if row["judgement"] else str(row["source"])


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
