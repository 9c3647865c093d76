"""Import this once in a process that forks trials, and they start in hundredths of a second.

It loads what the first training step would load: torch, its compiler front end (which the first
optimizer step imports) and scikit-learn's data sets. It trains nothing, makes no tensors and does
not touch CUDA, because a process that did could not be forked.
"""

from __future__ import annotations

import importlib
from typing import Final

MODULES: Final = ("torch", "torch._dynamo", "sklearn.datasets", "tuner.training.loop")

for _name in MODULES:
    importlib.import_module(_name)
