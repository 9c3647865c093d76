"""What `tuner samplers list` and `tuner pruners list` have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuner.cli import optional
from tuner.cli.session import Session
from tuner.client.client import Client


def show_registry(session: Session, ask: Callable[[Client], dict[str, Any]], module: str) -> None:
    """Print a registry: the server's, or this installation's where there is no store to ask.

    Args:
        session: Where to ask and print.
        ask: The call that reads the server's registry.
        module: The local registry, with a function `describe`.
    """
    if session.has_store:
        with session.client(create=False) as client:
            page = ask(client)
    else:
        items = optional.load(module, "server").describe()
        page = {"items": items, "next_cursor": None}
    if session.out.json:
        session.out.document(page)
        return
    rows = [
        [
            entry["name"],
            entry.get("title"),
            ", ".join(_option(option) for option in entry.get("options", ())),
        ]
        for entry in page["items"]
    ]
    session.out.table(("name", "title", "options (default)"), rows)


def _option(option: dict[str, Any]) -> str:
    default = option.get("default")
    if default is None:
        return str(option["name"])
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"{option['name']} ({shown})"
