"""The registry of data sets that built-in training implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from tuner.errors import Invalid

SIZES: Final = ("examples", "features", "classes")


@dataclass(frozen=True)
class Dataset:
    """A data set, bundled with scikit-learn or generated; nothing is downloaded.

    Args:
        name: Name in study files.
        title: Name for people.
        kind: `classification` or `regression`.
        rows: Number of examples.
        features: Length of an example as a flat vector.
        outputs: Classes, or 1 for regression.
        image: (channels, height, width) if an example is an image.
        source: Where the data come from.
        is_generated: Whether `rows`, `features` and `outputs` are only the defaults of a task.
    """

    name: str
    title: str
    kind: Literal["classification", "regression"]
    rows: int
    features: int
    outputs: int
    source: str
    image: tuple[int, int, int] | None = None
    is_generated: bool = False

    def sized(self, options: Mapping[str, Any]) -> Dataset:
        """Itself, or what a task's options make of a generated set."""
        if not self.is_generated:
            return self
        outputs = options["classes"] if self.kind == "classification" else 1
        size = {"rows": options["examples"], "features": options["features"]}
        return replace(self, outputs=outputs, **size)


_UCI: Final = "UCI Machine Learning Repository, bundled with scikit-learn"
_GENERATED: Final = "generated, the same at every use"
DATASETS: Final[dict[str, Dataset]] = {
    item.name: item
    for item in (
        Dataset(
            "digits",
            "Handwritten digits, 8 by 8 pixels",
            "classification",
            rows=1797,
            features=64,
            outputs=10,
            image=(1, 8, 8),
            source=_UCI,
        ),
        Dataset(
            "breast_cancer",
            "Breast cancer Wisconsin (diagnostic)",
            "classification",
            rows=569,
            features=30,
            outputs=2,
            source=_UCI,
        ),
        Dataset(
            "wine",
            "Wine recognition",
            "classification",
            rows=178,
            features=13,
            outputs=3,
            source=_UCI,
        ),
        Dataset(
            "diabetes",
            "Diabetes progression (target standardised)",
            "regression",
            rows=442,
            features=10,
            outputs=1,
            source="Efron, Hastie, Johnstone and Tibshirani 2004, bundled with scikit-learn",
        ),
        Dataset(
            "iris",
            "Iris flowers",
            "classification",
            rows=150,
            features=4,
            outputs=3,
            source="Fisher 1936, bundled with scikit-learn",
        ),
        Dataset(
            "generated_classification",
            "Two normal clusters for each class",
            "classification",
            rows=2000,
            features=20,
            outputs=4,
            source=_GENERATED,
            is_generated=True,
        ),
        Dataset(
            "generated_regression",
            "A network of 16 sine units with noise (target standardised)",
            "regression",
            rows=2000,
            features=20,
            outputs=1,
            source=_GENERATED,
            is_generated=True,
        ),
    )
}
# Numbers of a generated set: 2 GB while it is made.
MOST_NUMBERS: Final = 250_000_000


def check_size(dataset: Dataset, path: str, parts: int = 3) -> None:
    """Refuse a generated data set that does not fit in memory, or has classes without examples.

    Args:
        dataset: As `Dataset.sized` gives it.
        path: Where the task stands in the input, for errors.
        parts: Into how many it is split; every class has an example in each.

    Raises:
        Invalid: With the path of `examples`.
    """
    if not dataset.is_generated:
        return
    if dataset.rows < parts * dataset.outputs:
        least = {2: "two", 3: "three"}[parts]
        text = f"{dataset.rows} examples are less than {least} for each class."
        raise Invalid.at(f"{path}.examples", text, found=dataset.rows)
    if dataset.rows * dataset.features > MOST_NUMBERS:
        text = f"times the features are more than {MOST_NUMBERS} numbers."
        raise Invalid.at(f"{path}.examples", text, found=dataset.rows)
