"""Runs the API as a process: `tuner server start`, also as the owner of an embedded store."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Final

import uvicorn

from tuner.api import listening
from tuner.api.app import create_app
from tuner.api.context import Context
from tuner.api.ownership import Ownership
from tuner.errors import EXIT_INTERRUPTED, TunerError
from tuner.service.manager import Manager
from tuner.settings import EmbeddedStore, embedded_store

IDLE_S: Final = 30.0
_CHECK_S: Final = 1.0
_GRACE_S: Final = 10
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger("tuner.api")


@dataclass(frozen=True)
class _Plan:
    """What to serve, where, and for how long."""

    database_url: str
    store: EmbeddedStore | None
    host: str
    port: int
    token: str | None
    allowed_hosts: tuple[str, ...]
    idle_s: float | None


def serve(
    database_url: str | None = None,
    *,
    host: str = listening.LOOPBACK,
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Iterable[str] = (),
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        database_url: `sqlite:///FILE`, `postgresql://…`, a file name, or None for `tuner.db`.
        host: The address to bind.
        port: The port; 0 takes a free one.
        token: The bearer token; None: none is needed, on loopback only.
        allowed_hosts: Names under which others reach this server, beside the machine's own.

    Returns:
        The exit code: 0, or 130 after SIGINT.

    Raises:
        Invalid: For a host, port or URL that is none, or beyond loopback without a token.
        Conflict: If the port is in use, or (`StoreOwned`) the file has an owner.
        Unavailable: If the database cannot be reached or has another schema.
    """
    _, (address, _) = listening.resolve(host, port)
    listening.check_allowed(host, address, token)
    store = embedded_store(database_url)
    names = set(allowed_hosts)
    if not listening.is_loopback(address):
        names |= listening.own_names(host)
    return _run(
        _Plan(
            database_url=store.database_url,
            store=store if store.file is not None else None,
            host=host,
            port=port,
            token=token,
            allowed_hosts=tuple(sorted(names)),
            idle_s=None,
        )
    )


def serve_embedded(target: str, *, idle_s: float = IDLE_S) -> int:
    """Own a local store: on a free loopback port, with a random token, until nobody uses it.

    Args:
        target: The SQLite file, or a `postgresql://…` URL.
        idle_s: Ends after this many seconds without request, stream or live lease.

    Returns:
        The exit code.

    Raises:
        StoreOwned: If another process owns it.
        Unavailable: If the database cannot be reached or has another schema.
    """
    store = embedded_store(target)
    token = secrets.token_urlsafe(32)
    return _run(_Plan(store.database_url, store, listening.LOOPBACK, 0, token, (), idle_s))


def _run(plan: _Plan) -> int:
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    ownership = None if plan.store is None else Ownership.acquire(plan.store)
    try:
        if ownership is not None and plan.idle_s is not None:
            plan = _after(plan, ownership)
        return asyncio.run(_serve(plan, ownership))
    finally:
        if ownership is not None:
            ownership.release()


def _after(plan: _Plan, ownership: Ownership) -> _Plan:
    """Take the address of an owner that was killed: scripts it served know no other."""
    former = ownership.predecessor
    if former is None:
        return plan
    try:
        listening.bind(plan.host, former.port).close()
    except TunerError:
        return plan
    return replace(plan, port=former.port, token=former.token)


async def _serve(plan: _Plan, ownership: Ownership | None) -> int:
    sockets = [listening.bind(plan.host, plan.port)]
    try:
        url = local_url = listening.url_of(sockets[0], plan.host)
        if ownership is not None and not _reached_by_loopback(sockets[0]):
            # Local clients trust an owner on loopback only.
            sockets.append(listening.bind(listening.LOOPBACK, 0))
            local_url = listening.url_of(sockets[-1], listening.LOOPBACK)
        manager = await Manager.open(plan.database_url)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    try:
        app = create_app(manager, token=plan.token, allowed_hosts=plan.allowed_hosts)
        context: Context = app.state.context
        server = _Server(_config(app), context, ownership)

        async def announce() -> None:
            if ownership is not None:
                # A server without a token takes any; clients always send one.
                ownership.publish(local_url, plan.token or secrets.token_urlsafe(32))
            sys.stderr.write(f"tuner serves {url}\n")
            sys.stderr.flush()

        watch = asyncio.ensure_future(_watch(server, plan.idle_s))
        watch.add_done_callback(server.watched)
        try:
            await server.run_until_stopped(sockets, announce)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return EXIT_INTERRUPTED if server.signalled == signal.SIGINT else 0
    finally:
        await manager.close()


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _reached_by_loopback(sock: socket.socket) -> bool:
    name = str(sock.getsockname()[0])
    return name in ("0.0.0.0", "::") or listening.is_loopback(name)  # noqa: S104  a comparison


class _Server(uvicorn.Server):
    """Uvicorn that ends streams before it waits for connections, and exits with a code."""

    def __init__(
        self, config: uvicorn.Config, context: Context, ownership: Ownership | None
    ) -> None:
        super().__init__(config)
        self.context = context
        self.ownership = ownership
        self.signalled: int | None = None
        self._announce: Callable[[], Awaitable[None]] | None = None

    async def run_until_stopped(
        self, sockets: list[socket.socket], announce: Callable[[], Awaitable[None]]
    ) -> None:
        """Serve; `announce` is awaited once requests are answered."""
        self._announce = announce
        await self.serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce."""
        await super().startup(sockets)
        if self._announce is not None and not self.should_exit:
            await self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Withdraw the address, end streams, then let requests in flight finish."""
        if self.ownership is not None:
            self.ownership.withdraw()
        self.context.closing.set()
        await super().shutdown(sockets)

    def watched(self, watch: asyncio.Future[None]) -> None:
        """End when the watch has failed: nothing else would end an owner that nobody uses."""
        if not watch.cancelled() and watch.exception() is not None:
            _log.error("the watch failed", exc_info=watch.exception())
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remember the signal and end."""
        del frame
        self.signalled = sig
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take the signals, and do not raise them again: the caller has things to close."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in _SIGNALS}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


async def _watch(server: _Server, idle_s: float | None) -> None:
    """End the server when its files are gone, or nobody has used it for `idle_s`."""
    pause = _CHECK_S if idle_s is None else min(_CHECK_S, idle_s / 4)
    while not server.should_exit:
        await asyncio.sleep(pause)
        lost = None if server.ownership is None else server.ownership.lost()
        if lost is not None:
            _log.warning("%s is gone; the server ends", lost)
            server.should_exit = True
        elif idle_s is not None and await _is_idle(server.context, idle_s):
            server.should_exit = True


async def _is_idle(context: Context, idle_s: float) -> bool:
    """Whether nobody calls and no trial runs; an owner that cannot tell is of no use."""
    if context.activity.idle_seconds() < idle_s:
        return False
    try:
        metrics = await context.manager.metrics()
    except TunerError as error:
        _log.warning("cannot tell whether trials run: %s", error)
        return True
    still = context.activity.idle_seconds() >= idle_s
    return still and not metrics["trials"].get("running")
