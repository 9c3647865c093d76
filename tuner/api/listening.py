"""Sockets: which address to bind, and whether that is allowed without a token."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Final

from tuner.errors import Conflict, Invalid

LOOPBACK: Final = "127.0.0.1"
_Address = tuple[socket.AddressFamily, tuple[str, int]]


def resolve(host: str, port: int) -> _Address:
    """The address to bind.

    Raises:
        Invalid: If the port or host is none.
    """
    if not 0 <= port <= 65_535:
        raise Invalid.at("port", f"found {port}, expected 0 to 65535.", found=port)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise Invalid.at("host", f"{host!r} is no address of this machine.", found=host) from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def is_loopback(address: str) -> bool:
    """Whether an IP address (as of `resolve`) is this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def check_allowed(host: str, address: str, token: str | None) -> None:
    """Refuse to be reachable from elsewhere without a token.

    Raises:
        Invalid: If `address` is not loopback and there is no token.
    """
    if token or is_loopback(address):
        return
    raise Invalid(
        f"Binding {host or address} beyond loopback needs a token.",
        hint="Set TUNER_TOKEN, or bind 127.0.0.1.",
    )


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; port 0 takes a free one.

    Raises:
        Invalid: If the host is none of this machine.
        Conflict: If the port is in use.
    """
    family, address = resolve(host, port)
    # With the protocol named, asyncio switches Nagle's algorithm off; else every call waits 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise Conflict(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            hint="Stop what uses it, or take another port (0: a free one).",
        ) from error
    return sock


def url_of(sock: socket.socket, host: str) -> str:
    """The address that local clients use; a wildcard is reached by loopback.

    Args:
        sock: The bound socket.
        host: The host that was asked for.
    """
    name, port = sock.getsockname()[:2]
    address = ipaddress.ip_address(str(name).partition("%")[0])
    if address.is_unspecified:
        shown = "[::1]" if address.version == 6 else LOOPBACK
    elif host == "localhost":
        shown = host
    else:
        shown = f"[{name}]" if address.version == 6 else str(name)
    return f"http://{shown}:{port}"


def own_names(host: str) -> set[str]:
    """The names under which others reach this machine, for the Host check.

    A server beyond loopback always has a token, which a page in a browser does not know.
    """
    names = {host, socket.gethostname(), socket.getfqdn()}
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        found = []
    return {name for name in (*names, *(str(item[4][0]) for item in found)) if name}
