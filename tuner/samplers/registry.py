"""The registry of samplers. To add one: write its file, its options, and one line in `ENTRIES`.

Reading and describing load no library; `build` loads the sampler's own module only, and even that
leaves Optuna, torch and scikit-optimize to the process that asks for a suggestion.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

from tuner.core.describe import describe_options
from tuner.core.model import join, parse
from tuner.core.names import nearest_or_known, suggestion
from tuner.core.study import Named
from tuner.errors import NotAvailable, UnknownName
from tuner.samplers.balanced import BalancedSampler
from tuner.samplers.base import Sampler, SamplerOptions
from tuner.samplers.options import GpOptions, GridOptions, QmcOptions, RandomOptions, TpeOptions


@dataclass(frozen=True)
class Entry:
    """What is known about a sampler without loading it.

    Args:
        target: `module:Class`.
        options: Its options.
        needs_history: Whether suggestions depend on results.
        title: Name for people.
        doc: One or two sentences for people.
        source: The publication or program behind it.
        elsewhere: What other programs call it, for `nearest_or_known`.
    """

    target: str
    options: type[SamplerOptions]
    needs_history: bool
    title: str
    doc: str
    source: str
    elsewhere: tuple[str, ...] = ()


ENTRIES: Final[dict[str, Entry]] = {
    "random": Entry(
        "tuner.samplers.random_search:RandomSampler",
        RandomOptions,
        needs_history=False,
        title="Random search",
        doc="Uniform in each parameter's scale; priors and defaults are ignored.",
        source="Bergstra and Bengio 2012, Random search for hyper-parameter optimization (JMLR)",
    ),
    "grid": Entry(
        "tuner.samplers.grid:GridSampler",
        GridOptions,
        needs_history=False,
        title="Grid",
        doc="Every active combination once, in declared order, the last parameter fastest; floats"
        " need step or points. The study finishes when the grid is exhausted.",
        source="the full factorial design",
        elsewhere=("bruteforce", "fullfactorial"),
    ),
    "qmc": Entry(
        "tuner.samplers.qmc:QmcSampler",
        QmcOptions,
        needs_history=False,
        title="Quasi-random",
        doc="A scrambled Sobol sequence in the scales of the parameters: fills the space more"
        " evenly than random points.",
        source="Sobol 1967; direction numbers of Joe and Kuo 2008; scrambling after Owen 1998 and"
        " Matousek 1998",
        elsewhere=("sobol", "halton", "quasirandom", "quasimontecarlo"),
    ),
    "tpe": Entry(
        "tuner.samplers.tpe:TpeSampler",
        TpeOptions,
        needs_history=True,
        title="Tree-structured Parzen estimator",
        doc="Models the densities of good and bad settings, jointly within each branch of a"
        " conditional space; cheap, for many trials.",
        source="Bergstra et al. 2011, Algorithms for hyper-parameter optimization; implementation:"
        " Optuna",
        elsewhere=("hyperopt", "parzen", "treestructuredparzenestimator"),
    ),
    "gp": Entry(
        "tuner.samplers.gp:GpSampler",
        GpOptions,
        needs_history=True,
        title="Gaussian process",
        doc="Expected improvement under a Gaussian process in which the optimizers share what they"
        " have in common; for expensive trials.",
        source="Jones, Schonlau and Welch 1998, Efficient global optimization; implementations:"
        " Optuna and scikit-optimize",
        elsewhere=(
            *("bayes", "bayesian", "bayesianoptimization", "bayesopt", "bo"),
            *("gaussianprocess", "botorch", "skopt"),
        ),
    ),
}
EACH: Final = "each"
UPCOMING: Final = ("cmaes", "nsga2", "auto")


def names() -> list[str]:
    """The names of all samplers, in the registry's order."""
    return list(ENTRIES)


def read(spec: Named, path: str = "sampler") -> dict[str, Any]:
    """The sampler with every option written out.

    Args:
        spec: Name and options as given.
        path: Where it stands in the input, for errors.

    Raises:
        UnknownName: For a name that does not exist; it lists the names and the nearest.
        NotAvailable: For one that is known but not yet there.
        Invalid: For an unknown or illegal option, with its path.
    """
    entry = _entry(spec.name, path)
    options = parse(entry.options, spec.options, path)
    return {"name": spec.name, **options.model_dump(mode="json")}


def build(spec: dict[str, Any]) -> Sampler:
    """The sampler that `read` has written out.

    With the key `each` (no option of a study: the study manager adds it) every choice of the
    parameter of that name is searched on its own.
    """
    entry = _entry(spec["name"], "sampler")
    given = {key: value for key, value in spec.items() if key not in ("name", EACH)}
    options = parse(entry.options, given, "sampler")
    module, _, attribute = entry.target.partition(":")
    cls: type[Sampler] = getattr(importlib.import_module(module), attribute)
    sampler = cls(options)
    return sampler if EACH not in spec else BalancedSampler(sampler, spec[EACH])


def needs_history(name: str) -> bool:
    """Whether the sampler's suggestions depend on results (loads nothing)."""
    return _entry(name, "sampler").needs_history


def describe() -> list[dict[str, Any]]:
    """Every sampler with its options, types, ranges, defaults and source, as JSON data."""
    return [
        {
            "name": name,
            "title": entry.title,
            "doc": entry.doc,
            "needs_history": entry.needs_history,
            "options": describe_options(entry.options),
            "source": entry.source,
        }
        for name, entry in ENTRIES.items()
    ]


def _entry(name: str, path: str) -> Entry:
    entry = ENTRIES.get(name)
    if entry is not None:
        return entry
    where = join(path, "name")
    if name in UPCOMING:
        raise NotAvailable.at(
            where,
            f"the sampler {name!r} is not yet available; use gp or tpe.",
            found=name,
            allowed=names(),
        )
    near = nearest_or_known(name, {key: item.elsewhere for key, item in ENTRIES.items()})
    raise UnknownName.at(
        where,
        f"no sampler is named {name!r}.{suggestion(near)}",
        found=name,
        allowed=names(),
        nearest=near,
        hint=f"Known: {', '.join(ENTRIES)}.",
    )
