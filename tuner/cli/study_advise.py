"""`tuner study advise`: what to do next, while the study runs or after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tuner.cli.options import Json, Name
from tuner.cli.output import Output, write_document
from tuner.cli.session import open_session
from tuner.client.client import Client
from tuner.core.names import nearest
from tuner.errors import Invalid, TunerError

_TOP: Final = 3
_STYLES: Final = {"severe": "red", "warning": "yellow"}


def advise(
    ctx: typer.Context,
    name: Name,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only this advice, e.g. edge-of-range.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the proposed study file; - is stdout."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what to do next, with the numbers it rests on.

    Where another study follows from the advice, --write writes its file, ready for
    `tuner study run`: that of the most important advice that has one, or of --code.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        found = client.rest.advice(name)
    items = found["advice"] if code is None else _of_code(found["advice"], code, name)
    if write is not None:
        item = _with_file(items, name)
        write_document(session.out, item["study_file"]["yaml"], write)
        if str(write) != "-":
            session.out.say(f"It follows from: {item['title']} Run it: tuner study run {write}")
        return
    if json:
        session.out.document({**found, "advice": items})
        return
    for item in items:
        _show(session.out, item)
    if not items:
        session.out.say("Nothing to advise: no rule finds fault with these trials.")
    for row in found["diagnostics"]["summary"]:
        session.out.say(f"{row['trials']} trials: {row['name']} ({row['severity']}).")


def say_top(out: Output, client: Client, name: str) -> None:
    """Talk about the most important advice, where there is any; never fails."""
    try:
        found = client.rest.advice(name)["advice"]
    except TunerError:
        return
    for item in found[:_TOP]:
        out.say(f"{item['severity']}: {item['title']}", style=_STYLES.get(item["severity"], ""))
    if found:
        out.say(f"What to do about it: tuner study advise {name}")


def _show(out: Output, item: Mapping[str, Any]) -> None:
    out.text(f"{item['severity']}: {item['title']} [{item['code']}]")
    out.text(f"  {item['action']}")
    if item["command"] is not None:
        out.text(f"  $ {item['command']}")
    out.text("")


def _of_code(items: Sequence[dict[str, Any]], code: str, name: str) -> list[dict[str, Any]]:
    chosen = [item for item in items if item["code"] == code]
    if not chosen:
        codes = [item["code"] for item in items]
        near = nearest(code, codes)
        guess = f"Did you mean {near!r}?" if near else f"There is: {', '.join(codes) or 'none'}."
        raise Invalid(f"Study {name} has no advice {code!r}.", hint=guess)
    return chosen


def _with_file(items: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    for item in items:
        if item["study_file"] is not None:
            return item
    raise Invalid(
        f"No advice for study {name} proposes another study, so there is nothing to write.",
        hint=f"Read it: tuner study advise {name}",
    )
