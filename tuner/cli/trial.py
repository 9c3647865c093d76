"""`tuner trial`: read single trials, and drive them by hand with ask and tell."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from tuner.cli import grammar, views
from tuner.cli.nouns import group
from tuner.cli.options import Json, Name, Number
from tuner.cli.output import Output
from tuner.cli.paging import collect
from tuner.cli.session import open_session
from tuner.core.names import nearest
from tuner.core.wire import decode_metric, is_rounded
from tuner.errors import EXIT_FAILED, Invalid

app = group("Read and drive single trials; ask and tell.")
_TELL: Final = "For example: tuner trial tell STUDY 3 0.31 --lease LEASE"
Lease = Annotated[str, typer.Option("--lease", metavar="LEASE", help="As ask gave it.")]


@app.command()
def show(
    ctx: typer.Context,
    study: Name,
    number: Number,
    measurements: Annotated[
        bool, typer.Option("--measurements", help="What it reported, instead.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a trial, or what it reported."""
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        if not measurements:
            trial = client.rest.get_trial(study, number)
            if json:
                session.out.document(trial)
            else:
                views.show_trial(session.out, trial)
            return

        def fetch(limit: int, cursor: str | None) -> dict[str, Any]:
            page: dict[str, Any] = client.rest.measurements(
                study, number, cursor=cursor, limit=limit
            )
            return page

        page = collect(fetch, None)
    if json:
        session.out.document(page)
    else:
        rows = [[row["attempt"], row["step"], row["values"]] for row in page["items"]]
        session.out.table((">attempt", ">step", "values"), rows)


@app.command()
def ask(
    ctx: typer.Context,
    study: Name,
    count: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many.")] = 1,
    lease_seconds: Annotated[
        float, typer.Option(min=1, max=86_400, metavar="S", help="How long the lease lasts.")
    ] = 3600,
    worker: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Who asks, for the record.")
    ] = None,
    json: Json = False,
) -> None:
    """Get trials to evaluate, with their leases.

    Tell the outcome with `tuner trial tell`. A trial that is not told within the lease goes back to
    the queue; the lease is an hour unless --lease-seconds says otherwise (nothing renews it, as a
    worker would).
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        answer = client.rest.ask(study, count=count, worker_id=worker, lease_seconds=lease_seconds)
    if json:
        session.out.document(answer)
    else:
        _show_asked(session.out, study, answer)
    if not answer["trials"]:
        session.out.say(f"Study {study} has nothing to hand out: it is {answer['study_state']}.")
        raise typer.Exit(EXIT_FAILED)


# A value may be negative: `-0.5` is then no option.
@app.command(context_settings={"ignore_unknown_options": True})
def tell(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    study: Name,
    number: Number,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="VALUES", help="The objective's value, or METRIC=VALUE …"),
    ] = None,
    lease: Lease = "",
    state: Annotated[
        str, typer.Option(metavar="STATE", help="complete, pruned or fail.")
    ] = "complete",
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Of a fail, e.g. oom.")
    ] = None,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Of a fail.")] = None,
    json: Json = False,
) -> None:
    """Say how a trial ended.

    Without values a complete one takes what it reported.
    """
    session = open_session(ctx, json=json)
    _refuse_options(values or [], ctx)
    if not lease:
        raise Invalid("tell needs the lease that ask gave: --lease LEASE.", hint=f"{_TELL}.")
    with session.client(create=False) as client:
        told = _values(values or [], lambda: client.rest.get_study(study))
        trial = client.rest.tell(
            study, number, lease, state, values=told, reason=reason, message=message
        )
    if json:
        session.out.document(trial)
        return
    session.out.say(f"Trial {number} of study {study}: {trial['state']} {views.values(trial)}.")


@app.command()
def stop(ctx: typer.Context, study: Name, number: Number, json: Json = False) -> None:
    """Ask a running trial to stop, or end a waiting one.

    Either ends as fail, with the reason cancelled.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        trial = client.rest.stop_trial(study, number)
    if json:
        session.out.document(trial)
        return
    what = "is asked to stop" if trial["state"] == "running" else f"is {trial['state']}"
    session.out.say(f"Trial {number} of study {study} {what}.")


@app.command()
def retry(ctx: typer.Context, study: Name, number: Number, json: Json = False) -> None:
    """Put a failed trial back to the queue as one more attempt."""
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        trial = client.rest.retry_trial(study, number)
    if json:
        session.out.document(trial)
        return
    session.out.say(f"Trial {number} of study {study} is {trial['state']} again.")


@app.command()
def log(ctx: typer.Context, study: Name, number: Number, json: Json = False) -> None:
    """Print what a trial wrote."""
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        page = client.rest.trial_log(study, number)
    if json:
        session.out.document(page)
        return
    attempts = {item["attempt"] for item in page["items"]}
    shown = None
    for item in page["items"]:
        if len(attempts) > 1 and item["attempt"] != shown:
            session.out.say(f"--- attempt {item['attempt']}, {item['created_at']}")
        shown = item["attempt"]
        session.out.text(item["text"])
    if not page["items"]:
        session.out.say(f"Trial {number} of study {study} wrote nothing.")


def _values(items: list[str], read_study: Any) -> dict[str, float] | None:
    """The told values: `METRIC=VALUE` words, or one plain value for the only objective."""
    if not items:
        return None
    if len(items) == 1 and "=" not in items[0]:
        objectives = read_study()["objectives"]
        if len(objectives) > 1:
            names = " ".join(f"{item['metric']}=…" for item in objectives)
            raise Invalid("The study has several objectives.", hint=f"Give {names}.")
        pairs: dict[str, Any] = {objectives[0]["metric"]: grammar.scalar(items[0])}
    else:
        pairs = grammar.pairs(items, "Values are one number, or METRIC=VALUE …")
    told = {}
    for name, value in pairs.items():
        number = decode_metric(_SPELLED.get(str(value).lower(), value))
        if number is None:
            raise Invalid(f"{name}: {value!r} is not a number.", hint=f"{_TELL}.")
        if is_rounded(value):
            text = f"{name}: no float holds {value} exactly."
            raise Invalid(text, hint=f"Give {value}.0 to have it rounded, or a smaller number.")
        told[name] = number
    return told


def _refuse_options(items: list[str], ctx: typer.Context) -> None:
    """Answer a mistyped option, which has come through as a value."""
    for item in items:
        if item.startswith("-") and _number(item) is None:
            known = [name for p in ctx.command.params for name in p.opts if name.startswith("--")]
            near = nearest(item.partition("=")[0], known)
            guess = f" Did you mean {near!r}?" if near else ""
            raise Invalid(
                f"No such option {item!r}.{guess}", hint="Try 'tuner trial tell --help'."
            )


def _number(text: str) -> float | None:
    value = grammar.scalar(text)
    return decode_metric(_SPELLED.get(str(value).lower(), value))


_SPELLED: Final = {
    "nan": "NaN",
    "inf": "Infinity",
    "infinity": "Infinity",
    "-inf": "-Infinity",
    "-infinity": "-Infinity",
}


def _show_asked(out: Output, study: str, answer: dict[str, Any]) -> None:
    for trial in answer["trials"]:
        out.fields(
            {
                "trial": trial["number"],
                "lease": trial["lease"],
                "lease expires": trial["lease_expires_at"],
                **{f"params.{name}": value for name, value in trial["params"].items()},
            }
        )
        out.say(f"Then: tuner trial tell {study} {trial['number']} VALUE --lease {trial['lease']}")
