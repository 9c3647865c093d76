"""The registry of pruners. To add one: write its file and one line in `ENTRIES`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tuner.core.describe import describe_options
from tuner.core.model import join, parse
from tuner.core.names import nearest_or_known, suggestion
from tuner.core.study import Named
from tuner.errors import UnknownName
from tuner.pruners.asha import AshaPruner, HyperbandPruner
from tuner.pruners.base import Pruner
from tuner.pruners.none import NonePruner
from tuner.pruners.percentile import MedianPruner, PercentilePruner


@dataclass(frozen=True)
class Entry:
    """A pruner's class with words for people, and what other programs call it."""

    cls: type[Pruner]
    title: str
    doc: str
    source: str
    elsewhere: tuple[str, ...] = ()


ENTRIES: Final[dict[str, Entry]] = {
    "none": Entry(
        NonePruner,
        "No pruning",
        "Every trial runs to its end.",
        "",
        elsewhere=("no", "nop", "off"),
    ),
    "median": Entry(
        MedianPruner,
        "Median stopping",
        "A trial stops if its best loss so far is worse than the median of the others' at the"
        " same step.",
        "Golovin et al. 2017, Google Vizier (KDD), section 3.2",
        elsewhere=("medianstop", "medianstoppingrule"),
    ),
    "percentile": Entry(
        PercentilePruner,
        "Percentile stopping",
        "As median, with another share of trials that go on.",
        "after Golovin et al. 2017, Google Vizier (KDD), section 3.2",
    ),
    "asha": Entry(
        AshaPruner,
        "Asynchronous successive halving",
        "At each rung a trial goes on if it is among the best 1/reduction_factor so far.",
        "Li et al. 2020, A system for massively parallel hyperparameter tuning (MLSys)",
        elsewhere=("sha", "successivehalving", "asyncsuccessivehalving", "asynchyperband"),
    ),
    "hyperband": Entry(
        HyperbandPruner,
        "Hyperband",
        "Successive halving in brackets that start to stop trials earlier or later, in the"
        " published proportions.",
        "Li et al. 2018, Hyperband (JMLR 18)",
    ),
}


def names() -> list[str]:
    """The names of all pruners, in the registry's order."""
    return list(ENTRIES)


def read(spec: Named, path: str = "pruner") -> dict[str, Any]:
    """The pruner with every option written out.

    Args:
        spec: Name and options as given.
        path: Where it stands in the input, for errors.

    Raises:
        UnknownName: For a name that does not exist; it lists the names and the nearest.
        Invalid: For an unknown or illegal option, with its path.
    """
    options = parse(_entry(spec.name, path).cls.Options, spec.options, path)
    return {"name": spec.name, **options.model_dump(mode="json", exclude_none=True)}


def build(spec: dict[str, Any], seed: int = 0) -> Pruner:
    """The pruner that `read` has written out, for a study's seed."""
    cls = _entry(spec["name"], "pruner").cls
    given = {key: value for key, value in spec.items() if key != "name"}
    return cls(parse(cls.Options, given, "pruner"), seed)


def describe() -> list[dict[str, Any]]:
    """Every pruner with its options, types, ranges, defaults and source, as JSON data."""
    return [
        {
            "name": name,
            "title": entry.title,
            "doc": entry.doc,
            "options": describe_options(entry.cls.Options),
            "source": entry.source,
        }
        for name, entry in ENTRIES.items()
    ]


def _entry(name: str, path: str) -> Entry:
    entry = ENTRIES.get(name)
    if entry is None:
        near = nearest_or_known(name, {key: item.elsewhere for key, item in ENTRIES.items()})
        raise UnknownName.at(
            join(path, "name"),
            f"no pruner is named {name!r}.{suggestion(near)}",
            found=name,
            allowed=names(),
            nearest=near,
            hint=f"Known: {', '.join(ENTRIES)}.",
        )
    return entry
