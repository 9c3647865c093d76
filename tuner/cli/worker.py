"""`tuner worker`: run trials on this machine, see and drain the workers of a server."""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
from typing import Annotated

import typer

from tuner.cli import interrupt, optional
from tuner.cli.nouns import group
from tuner.cli.options import Json
from tuner.cli.session import open_session
from tuner.core.names import nearest
from tuner.errors import EXIT_INTERRUPTED, Invalid, NotAvailable, WorkerError

app = group("Run trials on this machine for any study.")


@app.command()
def start(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    devices: Annotated[
        str, typer.Option(metavar="LIST", help="auto, cpu, or e.g. cuda:0,cuda:1.")
    ] = "auto",
    slots: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials at the same time.")
    ] = None,
    executor: Annotated[
        str, typer.Option(metavar="KIND", help="process (ray is not available yet).")
    ] = "process",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="What else than built-in tasks may run: MODULE:FUNCTION, cmd: plus the argv as in"
            " the study, file:PATH for data elsewhere; * within a word. May be repeated; the"
            " embedded store allows all.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The worker's name; else the host's.")
    ] = None,
    studies: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Serve only these, e.g. digits,wine.")
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when there is nothing left to run.")
    ] = False,
    lease_seconds: Annotated[
        float, typer.Option(min=1, max=86_400, metavar="S", help="How long a lease lasts.")
    ] = 60.0,
) -> None:
    """Run trials on this machine until Ctrl-C.

    What runs then goes back to the queue.
    """
    session = open_session(ctx)
    _check_executor(executor)
    agent_module = optional.load("tuner.worker.agent", "worker")
    rights = optional.load("tuner.worker.allow", "worker").Allow
    _log_to_stderr(quiet=session.out.quiet)
    with session.client() as client, interrupt.two_step() as asked:
        everything = client.database_url is not None and not allow
        agent = agent_module.Agent(
            client,
            name=name or platform.node() or "worker",
            devices=devices,
            slots=slots,
            executor=executor,
            allow=rights.everything() if everything else rights.patterns(allow or []),
            studies=tuple(_names(studies)) if studies else None,
            lease_seconds=lease_seconds,
            until_idle=until_idle,
        )
        session.out.say(f"Worker {name or platform.node()} serves {client.url}.")
        agent.run(asked)
    if agent.error is not None and asked.number is None:
        raise WorkerError(f"The worker ended: {agent.error}")
    if asked.number == signal.SIGINT:
        raise typer.Exit(EXIT_INTERRUPTED)


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the workers that the server knows."""
    session = open_session(ctx, json=json)
    page = session.read_list(lambda client: client.rest.list_workers())
    if json:
        session.out.document(page)
        return
    rows = [
        [
            worker["id"],
            worker["name"],
            worker["host"],
            worker.get("state"),
            worker.get("slots"),
            ", ".join(device["name"] for device in worker.get("devices", ())),
            len(worker.get("running", ())),
            str(worker.get("heartbeat_at") or "-")[:19].replace("T", " "),
        ]
        for worker in page["items"]
    ]
    session.out.table(
        ("id", "name", "host", "state", ">slots", "devices", ">running", "seen"), rows
    )


@app.command()
def drain(
    ctx: typer.Context,
    worker_id: Annotated[str, typer.Argument(metavar="ID", help="As `worker list` shows it.")],
    json: Json = False,
) -> None:
    """Give a worker no more trials.

    Those that run finish.
    """
    session = open_session(ctx, json=json)
    with session.client(create=False) as client:
        worker = client.rest.drain_worker(worker_id)
    if json:
        session.out.document(worker)
    else:
        session.out.say(f"Worker {worker_id} gets no more trials.")


def _log_to_stderr(*, quiet: bool) -> None:
    """Say which trials start and end; the libraries' own talk is left out."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("tuner").setLevel(logging.WARNING if quiet else logging.INFO)


def _check_executor(executor: str) -> None:
    if os.name == "nt":
        raise Invalid("Trials do not run on Windows itself.", hint="Use WSL.")
    if executor == "ray":
        raise NotAvailable(
            "The ray executor is not available in this version.", hint="Use --executor process."
        )
    if executor != "process":
        near = nearest(executor, ["process", "ray"])
        raise Invalid(
            f"--executor {executor!r} is not known.",
            hint=f"Did you mean {near!r}?" if near else "Use --executor process.",
        )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise Invalid("--studies names none.", hint="For example --studies digits,wine.")
    return names
