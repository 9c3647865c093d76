"""What a command works with: settings, an output and, when needed, a client."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from tuner.cli.options import Globals
from tuner.cli.output import Output
from tuner.client.client import Client
from tuner.settings import DEFAULT_DATABASE, EmbeddedStore, Settings, embedded_store, load


@dataclass(frozen=True)
class Session:
    """One command's surroundings.

    Args:
        settings: Flag over environment over config file over default.
        out: Where data and talk go.
    """

    settings: Settings
    out: Output

    @contextmanager
    def client(self, *, create: bool = True) -> Iterator[Client]:
        """A client for the settings' server or store, closed at the end.

        Args:
            create: Whether a store that is not there may be made; reading commands say no.
        """
        settings = self.settings
        database_url = None if settings.url else settings.database_url or DEFAULT_DATABASE
        with Client(
            settings.url, settings.token, database_url=database_url, create=create
        ) as client:
            yield client

    @property
    def has_store(self) -> bool:
        """Whether there is something to read: a server, or a store that exists."""
        if self.settings.url:
            return True
        file = embedded_store(self.settings.database_url).file
        return file is None or file.exists()

    def read_list(self, read: Callable[[Client], dict[str, Any]]) -> dict[str, Any]:
        """A page of what is in the store; where there is no store, an empty one."""
        if not self.has_store:
            self.out.say("There is no store here yet; `tuner study create` or `run` makes one.")
            return {"items": [], "next_cursor": None}
        with self.client(create=False) as client:
            return read(client)

    @contextmanager
    def any_client(self) -> Iterator[Client]:
        """A client for questions that need no study; without a store it leaves no file behind."""
        if self.has_store:
            with self.client(create=False) as client:
                yield client
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            store = embedded_store(str(Path(folder) / "tuner.db"))
            try:
                with Client(database_url=store.database_url) as client:
                    yield client
            finally:
                _end_owner(store)


def _end_owner(store: EmbeddedStore) -> None:
    """End the owner of a borrowed store, which nobody else can be using."""
    try:
        os.kill(int(json.loads(store.owner_file.read_bytes())["pid"]), signal.SIGTERM)
    except (OSError, ValueError, KeyError):
        return


def open_session(ctx: typer.Context, *, json: bool = False) -> Session:
    """The session of a command.

    Args:
        ctx: Typer's context; its object holds the global options.
        json: Whether `--json` was given.
    """
    given = ctx.obj if isinstance(ctx.obj, Globals) else Globals()
    settings = load(config_file=given.config)
    if given.url is not None or given.database_url is not None:
        # an explicit store beats an address from the environment, and the other way round
        settings = dataclasses.replace(
            settings, url=given.url, database_url=given.database_url or settings.database_url
        )
    if given.token is not None:
        settings = dataclasses.replace(settings, token=given.token)
    return Session(settings, Output(json=json, quiet=given.quiet))
