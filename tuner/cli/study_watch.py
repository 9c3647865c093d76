"""`tuner study watch`: follow a study live, from another terminal or another machine."""

from __future__ import annotations

import queue
import threading
from typing import Any, Final

import typer

from tuner.cli.options import Json, Name
from tuner.cli.output import Output
from tuner.cli.progress import Display
from tuner.cli.session import open_session
from tuner.client.client import Client
from tuner.client.events import Event
from tuner.errors import TunerError

_CHECK_S: Final = 2.0
_REDRAW_S: Final = 0.25

Item = Event | TunerError


def watch(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Follow a study live until it is finished.

    With --json it prints the events, one a line.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        study = client.rest.get_study(name)
        events: queue.Queue[Item] = queue.Queue()
        reader = threading.Thread(target=_read, args=(client, name, events), daemon=True)
        if study["state"] != "finished":
            reader.start()
        if json:
            _stream(session.out, client, study, events)
        else:
            _redraw(session.out, client, study, events)


def _read(client: Client, name: str, events: queue.Queue[Item]) -> None:
    """Put the study's events, or the error that ended them, into the queue."""
    try:
        for event in client.events(name):
            events.put(event)
    except TunerError as error:
        events.put(error)


def _stream(out: Output, client: Client, study: dict[str, Any], events: queue.Queue[Item]) -> None:
    """Print events as they come; check for the end when it is quiet."""
    while study["state"] != "finished" or not events.empty():
        try:
            item = events.get(timeout=_CHECK_S)
        except queue.Empty:
            study = client.rest.get_study(study["name"])
            continue
        _raise(item)
        out.line(item)
        if not isinstance(item, TunerError) and item["number"] is None:
            study = client.rest.get_study(study["name"])


def _redraw(out: Output, client: Client, study: dict[str, Any], events: queue.Queue[Item]) -> None:
    """Show the state whenever something has happened."""
    pause = threading.Event()
    with Display(out) as display:
        display.show(study)
        while study["state"] != "finished":
            try:
                _raise(events.get(timeout=_CHECK_S))
                pause.wait(_REDRAW_S)
                while not events.empty():
                    _raise(events.get_nowait())
            except queue.Empty:
                pass
            study = client.rest.get_study(study["name"])
            display.show(study)


def _raise(item: Item) -> None:
    if isinstance(item, TunerError):
        raise item
