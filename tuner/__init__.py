"""Hyperparameter tuning for deep-learning training, specialised in optimizers.

The public names are loaded when they are first used, so that `import tuner` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from tuner import errors
from tuner.errors import TrialStopped

if TYPE_CHECKING:
    from tuner.client import space
    from tuner.client.async_client import AsyncClient
    from tuner.client.client import Client
    from tuner.client.current import current_trial
    from tuner.client.space import Categorical, Fixed, Float, Int

__all__ = [
    "AsyncClient",
    "Categorical",
    "Client",
    "Fixed",
    "Float",
    "Int",
    "TrialStopped",
    "current_trial",
    "errors",
    "space",
]
__version__ = "0.1.0"

_HOMES: Final = {
    "AsyncClient": "tuner.client.async_client",
    "Categorical": "tuner.client.space",
    "Client": "tuner.client.client",
    "Fixed": "tuner.client.space",
    "Float": "tuner.client.space",
    "Int": "tuner.client.space",
    "current_trial": "tuner.client.current",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name == "space":
        value: Any = importlib.import_module("tuner.client.space")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name == "training":
        return importlib.import_module("tuner.training")
    else:
        raise AttributeError(f"module 'tuner' has no attribute {name!r}{_hint(name)}")
    globals()[name] = value
    return value


def _hint(name: str) -> str:
    """What to do instead, for a name that another tool has."""
    if name.startswith("_"):
        return ""
    table: dict[str, str] = importlib.import_module("tuner.client.familiar").MODULE
    return f": {table[name]}" if name in table else ""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
