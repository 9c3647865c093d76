"""Loading of the modules that need a heavy library, at the first suggestion and not before.

The server process builds and checks samplers; it must not pay for scipy, Optuna, torch or
scikit-optimize, which only its pool uses.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

ENGINES: Final = {
    "sobol": "tuner.samplers.sobol",
    "tpe": "tuner.samplers.optuna_tpe",
    "optuna": "tuner.samplers.optuna_gp",
    "skopt": "tuner.samplers.skopt_gp",
}


def load(engine: str) -> Any:
    """The module behind one of `ENGINES`."""
    return importlib.import_module(ENGINES[engine])
