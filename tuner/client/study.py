"""A study, seen from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.client.client import Client


class Study:
    """A study; made by `Client`."""

    def __init__(self, client: Client, data: dict[str, Any]) -> None:
        self._client = client
        self._data = data
        self.name: str = data["name"]
