"""What the registry of data sets knows of a question about training: examples, a fitting model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.core.names import nearest, suggestion
from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import DATASETS, MODELS, OPTIONS


def fill(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given keys, with `model` and `examples` filled in where `dataset` says them.

    Args:
        given: `dataset`, `model`, `examples` and others, None where absent.

    Raises:
        UnknownName: For a data set that does not exist.
        Invalid: For a model that is not built in or cannot take the data set.
    """
    found = {key: value for key, value in given.items() if value is not None}
    if "dataset" not in found:
        return found
    name = str(found["dataset"])
    dataset = DATASETS.get(name)
    if dataset is None:
        near = nearest(name, DATASETS)
        raise UnknownName.at(
            "dataset",
            f"no data set is named {name[:80]!r}.{suggestion(near)}",
            found=name[:80],
            allowed=list(DATASETS),
            nearest=near,
        )
    fitting = [key for key, model in MODELS.items() if model.takes(dataset)]
    found.setdefault("model", "mlp" if dataset.image is None else "cnn")
    if found["model"] not in fitting:
        near = nearest(str(found["model"]), fitting)
        raise Invalid.at(
            "model",
            f"built-in training has no {found['model']!r} for {name}.{suggestion(near)}",
            found=str(found["model"])[:80],
            allowed=fitting,
            nearest=near,
        )
    held_out = OPTIONS["validation"].default
    share = held_out if isinstance(held_out, float) else 0.0
    found.setdefault("examples", round(dataset.rows * (1.0 - share)))
    return found
