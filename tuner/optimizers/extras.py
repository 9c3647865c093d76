"""Extras of the installation that some optimizers need, and what of them is installed here."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Final

from tuner.errors import NotAvailable
from tuner.optimizers.registry import ENTRIES

# Each extra with the module that it brings.
MODULES: Final[dict[str, str]] = {"optimizers": "pytorch_optimizer"}
# The label by which a worker says which of them it has, separated by commas.
LABEL: Final = "extras"


@functools.cache
def is_installed(extra: str) -> bool:
    """Whether an extra's module is there; nothing is imported."""
    return importlib.util.find_spec(MODULES[extra]) is not None


def label() -> str:
    """The value of `LABEL` for a worker of this installation."""
    return ",".join(extra for extra in MODULES if is_installed(extra))


def lacking(labels: Mapping[str, str], wanted: Iterable[str]) -> list[str]:
    """Those of the wanted extras that a worker of these labels does not have."""
    present = labels.get(LABEL, "").split(",")
    return [extra for extra in wanted if extra not in present]


def needed(optimizers: Iterable[str]) -> dict[str, list[str]]:
    """The extras that the optimizers need, each with those that need it; unknown names pass."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(optimizers):
        extra = ENTRIES[name].extra if name in ENTRIES else None
        if extra is not None:
            found.setdefault(extra, []).append(name)
    return found


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'tuner[{extra}]'"


def require(optimizers: Iterable[str], path: str = "optimizer") -> None:
    """Refuse optimizers whose extra is not installed here.

    Args:
        optimizers: Names in the registry.
        path: Where they stand in the input, for the error.

    Raises:
        NotAvailable: For the first missing extra, naming the optimizers and the command.
    """
    for extra, names in needed(optimizers).items():
        if not is_installed(extra):
            verb = "needs" if len(names) == 1 else "need"
            raise NotAvailable.at(
                path,
                f"{', '.join(names)} {verb} {MODULES[extra]}, which is not installed here.",
                found=", ".join(names),
                hint=f"Install it with: {install(extra)}",
            )
