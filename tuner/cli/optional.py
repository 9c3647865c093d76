"""Parts of tuner that need an extra of the installation, loaded where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from tuner.errors import NotAvailable


def load(module: str, extra: str) -> Any:
    """Import a module of ours whose libraries come with an extra.

    Args:
        module: Full name, as `tuner.api.serve`.
        extra: The extra that brings what it needs.

    Raises:
        NotAvailable: If a library is missing, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tuner"):
            raise
        raise NotAvailable(
            f"This command needs {error.name}, which is not installed.",
            hint=f"Install it with: pip install 'tuner[{extra}]'",
        ) from error
