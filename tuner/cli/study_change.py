"""`tuner study edit | pause | resume | stop | delete | enqueue | import`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli import grammar, views
from tuner.cli.options import Json, Name
from tuner.cli.session import Session, open_session
from tuner.client.importing import import_trials
from tuner.client.keeping import delete_study
from tuner.core.wire import loads
from tuner.errors import Invalid


def edit(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    name: Name,
    trials: Annotated[
        str | None, typer.Option(metavar="N", help="Budget: trials; none: no limit.")
    ] = None,
    seconds: Annotated[
        str | None,
        typer.Option(metavar="S", help="Budget: seconds with a trial running; none: no limit."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="V", help="Budget: stop when the objective is there; none: never."),
    ] = None,
    seconds_each: Annotated[
        float | None,
        typer.Option(
            "--seconds-each", metavar="S", help="Of a comparison: seconds of each optimizer."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set a tag. May be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Change budget or tags.

    A larger budget, or one without a limit, makes a finished study active again. In a comparison of
    n optimizers --trials N gives each N/n trials, less the seeds that confirm it.
    """
    session = open_session(ctx, json=json)
    given = {"trials": trials, "seconds": seconds, "target": target}
    budget = {key: _limit(key, text) for key, text in given.items() if text is not None}
    tags = grammar.pairs(tag or [], "A tag is --tag KEY=VALUE")
    compare = None if seconds_each is None else {"seconds": seconds_each}
    if not budget and not tags and not compare:
        raise Invalid(
            "There is nothing to change.", hint="Give --trials, --seconds, --target or --tag."
        )
    with session.client(create=False) as client:
        before = client.rest.get_study(name)
        study = client.rest.change_study(
            name,
            budget=budget or None,
            tags={**before.get("tags", {}), **tags} if tags else None,
            compare=compare,
        )
    _changed(session, study, "Changed")


def confirm(
    ctx: typer.Context,
    name: Name,
    seeds: Annotated[int, typer.Option(metavar="K", help="Fresh seeds for each setting.")] = 5,
    top: Annotated[
        int,
        typer.Option(metavar="N", help="Settings; in a comparison so many of each optimizer."),
    ] = 1,
    json: Json = False,
) -> None:
    """Queue the best setting to be run again on fresh seeds.

    Was it luck? Again: further seeds. A finished study becomes active; run it as before, with
    tuner study run or tuner worker start.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        made = client.rest.confirm_study(name, seeds, top)
    if json:
        session.out.document(made)
        return
    confirmed = sorted({trial["user_attrs"]["confirms"] for trial in made["trials"]})
    session.out.text(" ".join(str(trial["number"]) for trial in made["trials"]))
    session.out.say(
        f"Queued {len(made['trials'])} trials of study {name}: trial"
        f"{'' if len(confirmed) == 1 else 's'} {', '.join(map(str, confirmed))} on {seeds} fresh"
        f" seed{'' if seeds == 1 else 's'}."
    )


def pause(
    ctx: typer.Context,
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="Stop running trials too; they go on after resume.")
    ] = False,
    json: Json = False,
) -> None:
    """Hand out no more trials for now.

    Those that run finish, unless --now is given.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.change_study(name, state="paused", now=now or None)
    if study["state"] == "paused" or session.out.json:
        _changed(session, study, "Paused")
        return
    session.out.say(f"Study {name} is {_state(study)}: there is nothing to pause.")


def resume(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Make a paused or stopped study active again."""
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.change_study(name, state="active")
    _changed(session, study, "Resumed")


def stop(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """End a study; resume makes it active again.

    Running trials are cancelled, waiting ones stay as they are.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.change_study(name, state="finished")
    _changed(session, study, "Stopped")


def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study with all its trials, for good.

    The checkpoints that its trials keep on this machine go too.
    """
    session = open_session(ctx)
    with session.client(create=False) as client:
        study = client.rest.get_study(name)
        if not yes:
            if not sys.stdin.isatty():
                raise Invalid(
                    f"Deleting {name} ({views.counts(study)}) needs a confirmation.",
                    hint="Give --yes.",
                )
            typer.confirm(f"Delete {name} ({views.counts(study)})?", abort=True, err=True)
        delete_study(client, name)
    session.out.say(f"Deleted study {name}.")


def enqueue(
    ctx: typer.Context,
    name: Name,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAMS", help="KEY=VALUE …, or one JSON object."),
    ] = None,
    json: Json = False,
) -> None:
    """Put parameters in the queue to be tried next.

    The sampler fills in what is missing.
    """
    session = open_session(ctx, json=json)
    chosen = read_params(params or [])
    with session.client(create=False) as client:
        trial = client.rest.add_trials(name, {"params": chosen})
    if json:
        session.out.document(trial)
        return
    session.out.text(str(trial["number"]))
    session.out.say(f"Enqueued trial {trial['number']} of study {name}.")


def import_(
    ctx: typer.Context,
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines as of export; - is stdin.")
    ],
    json: Json = False,
) -> None:
    """Import finished trials; they use up no budget.

    They go in batches of 500, each of which is taken whole or not at all.
    """
    session = open_session(ctx, json=json)
    trials, left_out = read_trials(file)
    with session.client(create=False) as client:
        made = import_trials(client.rest, name, trials)
    if left_out:
        states = ", ".join(f"{number} {state}" for state, number in sorted(left_out.items()))
        session.out.say(
            f"Left out {left_out.total()} that are not finished ({states}); only complete, pruned"
            " and fail are imported."
        )
    if json:
        session.out.document({"trials": made})
        return
    session.out.text(str(len(made)))
    session.out.say(f"Imported {len(made)} trials into study {name}.")


def read_params(items: list[str]) -> dict[str, Any]:
    """Parameters from `KEY=VALUE` words or one JSON object."""
    if len(items) == 1 and items[0].lstrip().startswith("{"):
        data = loads(items[0])
        return dict(data)
    return grammar.pairs(items, "Parameters are KEY=VALUE … or one JSON object")


def read_trials(file: Path) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The finished trials of a JSON Lines file, as import takes them, and the others by state.

    Raises:
        Invalid: For a file that cannot be read, with the line.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid(
            f"{file} cannot be read: {error.strerror}.", hint="Name a JSON Lines file."
        ) from error
    trials, left_out = [], Counter[str]()
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            trial = loads(line)
        except Invalid as error:
            raise Invalid(f"{file}, line {number}: {error.message}", hint=error.hint) from error
        if not isinstance(trial, dict):
            raise Invalid(f"{file}, line {number}: a trial is an object with params and state.")
        if trial.get("state") in ("complete", "pruned", "fail"):
            trials.append(_as_import(trial))
        else:
            left_out[str(trial.get("state", "without a state"))[:80]] += 1
    if not trials:
        raise Invalid(
            f"{file} holds no finished trial.", hint="Each line is one: params, state, values."
        )
    return trials, left_out


def _as_import(trial: dict[str, Any]) -> dict[str, Any]:
    """What import takes of an exported trial."""
    keys = ("params", "state", "values", "measurements", "reason", "message", "user_attrs")
    kept = {key: trial[key] for key in keys if trial.get(key) not in (None, {}, [])}
    return {"params": {}, **kept}


def _limit(key: str, text: str) -> int | float | None:
    """A limit of the budget; None for the word none, which takes it away."""
    if text.strip().lower() == "none":
        return None
    value = grammar.scalar(text)
    if isinstance(value, bool | str):
        raise Invalid(
            f"--{key} {text!r} is not a number.", hint=f"Give a number, or --{key} none."
        )
    return value


def _changed(session: Session, study: dict[str, Any], what: str) -> None:
    if session.out.json:
        session.out.document(study)
        return
    session.out.say(f"{what} study {study['name']}: {_state(study)}, {views.counts(study)}.")


def _state(study: dict[str, Any]) -> str:
    reason = f" ({study['state_reason']})" if study.get("state_reason") else ""
    return f"{study['state']}{reason}"
