"""Where the service is: a fixed address, or one that can be found anew."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from tuner.errors import Invalid

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Address:
    """Base URL and token of a server; the token stays out of the repr."""

    url: str
    token: str | None = field(default=None, repr=False)


class Endpoint(Protocol):
    """Knows the address of the service."""

    def address(self) -> Address:
        """The present address; an embedded store is started if need be."""

    def renew(self, lost: Address) -> Address:
        """The address to go on with when nobody answers at `lost`; the same if there is no other."""

    def hint(self) -> str:
        """What a person can do when nobody answers."""


class Fixed:
    """A server that somebody else runs."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._address = check_address(url, token)

    def address(self) -> Address:
        """The address as given."""
        return self._address

    def renew(self, lost: Address) -> Address:
        """The same: only the one address is known."""
        return lost

    def hint(self) -> str:
        """How to get a server, or do without."""
        return (
            "Start it with `tuner server start`, or correct TUNER_URL;"
            " without a URL the embedded store is used."
        )


def check_address(url: str, token: str | None = None) -> Address:
    """An address in its normal form: no trailing slash, no `/api/v1`.

    Raises:
        Invalid: For a URL that is not http(s), has no host or has a user in it, or a token that
            no header can carry. Neither text quotes a secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid.at("url", f"is not a URL: {error}.") from None
    if parts.username is not None or parts.password is not None:
        raise Invalid.at("url", "holds a user or password; give token= (or TUNER_TOKEN) instead.")
    if parts.scheme not in ("http", "https") or not host:
        raise Invalid.at(
            "url", f"found {url[:200]!r}, expected e.g. http://127.0.0.1:8000.", found=url[:200]
        )
    if parts.query or parts.fragment:
        raise Invalid.at("url", "has a query or fragment; give the address of the server only.")
    if token is not None and not _TOKEN.fullmatch(token):
        raise Invalid.at("token", "has characters that no HTTP header can carry.")
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    return Address(f"{parts.scheme}://{place}{path}", token)


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine, so that no proxy may stand in between."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
