"""`tuner study list | show | best | trials | report | export | schema`: reading creates nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli import grammar, views
from tuner.cli.options import All, Format, Json, Limit, Name, OutputFile
from tuner.cli.output import write_document
from tuner.cli.paging import DEFAULT_LIMIT, collect
from tuner.cli.session import open_session
from tuner.client import formats
from tuner.core.wire import dumps


def list_(
    ctx: typer.Context,
    query: Annotated[
        str | None, typer.Option("--query", metavar="TEXT", help="A part of the name.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="active, paused or finished.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    all_: All = False,
    json: Json = False,
) -> None:
    """List studies."""
    session = open_session(ctx, json=json)
    most = None if all_ else limit
    page = session.read_list(
        lambda client: collect(client.rest.list_studies, most, q=query, state=state)
    )
    if json:
        session.out.document(page)
        return
    rows = [
        [
            study["name"],
            study["state"],
            sum(study["counts"].values()),
            study.get("budget", {}).get("trials"),
            ", ".join(objective["metric"] for objective in study["objectives"]),
            views.values(study["best"], study) if study.get("best") else None,
            study["sampler"]["name"],
            study["created_at"][:16].replace("T", " "),
        ]
        for study in page["items"]
    ]
    columns = ("name", "state", ">trials", ">budget", "objective", ">best", "sampler", "created")
    session.out.table(columns, rows)
    if page["next_cursor"] is not None:
        session.out.say(f"There are more than these {len(rows)}; --all shows them.")


def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show a study: state, trials, best so far, search space."""
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.get_study(name)
    if json:
        session.out.document(study)
    else:
        views.show_study(session.out, study)


def best(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show the best trial, or the Pareto front.

    The front is shown for a study with several objectives.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.get_study(name)
        several = len(study["objectives"]) > 1
        found = client.rest.pareto(name) if several else client.rest.best(name)
    if json:
        session.out.document(found)
    elif several:
        rows = [views.trial_row(trial, study) for trial in found["items"]]
        session.out.table(views.TRIAL_COLUMNS, rows)
    else:
        views.show_trial(session.out, found)


def trials(
    ctx: typer.Context,
    name: Name,
    state: Annotated[
        str | None, typer.Option(metavar="STATES", help="E.g. complete or complete,pruned.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="KEY", help="number, -number, value or -value.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    all_: All = False,
    json: Json = False,
) -> None:
    """List a study's trials."""
    session = open_session(ctx, json=json)
    chosen = grammar.states(state)
    with session.client(create=False) as client:

        def fetch(limit: int, cursor: str | None) -> dict[str, object]:
            page: dict[str, object] = client.rest.list_trials(
                name, state=chosen, sort=sort, cursor=cursor, limit=limit
            )
            return page

        page = collect(fetch, None if all_ else limit)
        study = None if json else client.rest.get_study(name)
    if study is None:
        session.out.document(page)
        return
    session.out.table(
        views.TRIAL_COLUMNS, [views.trial_row(trial, study) for trial in page["items"]]
    )
    if page["next_cursor"] is not None:
        session.out.say(f"There are more than these {len(page['items'])}; --all shows them.")


def report(
    ctx: typer.Context,
    name: Name,
    format_: Format = None,
    output: OutputFile = None,
    json: Json = False,
) -> None:
    """Write the report of a study: md (default), json or html."""
    session = open_session(ctx, json=json)
    wanted = format_ or ("json" if json else None)
    chosen = formats.chosen(formats.REPORTS, "md", wanted, output)
    with session.client(create=False) as client:
        body = client.rest.study_report(name, chosen)
    text = body if isinstance(body, str) else f"{dumps(body)}\n"
    write_document(session.out, text, output)


def export(
    ctx: typer.Context, name: Name, format_: Format = None, output: OutputFile = None
) -> None:
    """Write all trials: jsonl (default), csv or parquet."""
    session = open_session(ctx)
    chosen = formats.chosen(formats.EXPORTS, "jsonl", format_, output)
    with session.client(create=False) as client:
        body = client.rest.export(name, chosen)
    write_document(session.out, body, output)


def schema(ctx: typer.Context, json: Json = False) -> None:
    """Print the JSON Schema of a study file, with every option."""
    session = open_session(ctx, json=json)
    with session.any_client() as client:
        session.out.document(client.rest.study_schema())
