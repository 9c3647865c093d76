"""The options of every sampler; light, so that the server reads them without loading a library."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tuner.samplers.base import SamplerOptions


class RandomOptions(SamplerOptions):
    """Options of `random`."""


class GridOptions(SamplerOptions):
    """Options of `grid` (the seed changes nothing)."""


class QmcOptions(SamplerOptions):
    """Options of `qmc`."""


class TpeOptions(SamplerOptions):
    """Options of `tpe`."""

    n_startup: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=10,
        description="Results needed before the model proposes; until then defaults, then"
        " quasi-random points.",
    )
    n_candidates: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=24, description="Candidates drawn from the good density at each ask."
    )


class GpOptions(SamplerOptions):
    """Options of `gp`."""

    engine: Literal["optuna", "skopt"] = Field(
        default="optuna", description="The library that fits the Gaussian process."
    )
    n_startup: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=8,
        description="Results needed before the model proposes; until then defaults, then"
        " quasi-random points.",
    )
    deterministic: bool = Field(
        default=False, description="Whether a trial repeated would give the same value."
    )
