"""Points of a scrambled Sobol sequence by index, whatever was drawn before.

Source: Sobol 1967; direction numbers of Joe and Kuo 2008; scrambling (Matousek 1998) and the
sequence itself by scipy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from tuner.samplers.base import generator

BLOCK: Final = 128


def point(dimension: int, seed: int, purpose: str, index: int) -> NDArray[np.float64]:
    """The point of that index in [0, 1)^dimension.

    Args:
        dimension: Number of dimensions, at least 1.
        seed: The study's seed: it picks the scrambling.
        purpose: Separates the sequences of different users.
        index: Place in the sequence, 0-based, below 2^30.

    Returns:
        Shape (dimension,).
    """
    row: NDArray[np.float64] = _block(dimension, seed, purpose, index // BLOCK)[index % BLOCK]
    return row


@lru_cache(maxsize=16)
def _block(dimension: int, seed: int, purpose: str, number: int) -> NDArray[np.float64]:
    """`BLOCK` consecutive points, shape (BLOCK, dimension); kept, as asks come in order."""
    engine = qmc.Sobol(dimension, scramble=True, rng=generator(seed, 0, f"sobol {purpose}"))
    if number:
        engine.fast_forward(number * BLOCK)
    points: NDArray[np.float64] = engine.random(BLOCK)
    points.flags.writeable = False
    return points
