"""Which metrics a task reports, and whether an objective or a constraint may be on one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.core.names import nearest
from tuner.errors import InvalidMetric
from tuner.tasks.choices import title, values_of
from tuner.tasks.combinations import without_classes
from tuner.tasks.metrics import (
    CLASSIFICATION_ONLY,
    CONFIRMATION_ONLY,
    METRICS,
    SOMETIMES,
    family,
    is_reported,
    level_of,
)

_OWN_METRICS: Final = "val_"


def metrics(
    task: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    sometimes: bool = False,
) -> list[str]:
    """The metrics that every trial of the task reports at every epoch.

    Those of classification are among them where only the data will tell whether there are classes.

    Args:
        task: A checked task.
        parameters: The expanded space, if it may choose the data set, the model or the
            diagnostics.
        sometimes: Include those that depend on the model, the batch size or the epoch.
    """
    space = parameters or {}
    has_classes = not without_classes(task, space)
    levels = values_of(task, space, "diagnostics")
    return [
        name
        for name in METRICS
        if (has_classes or name not in CLASSIFICATION_ONLY)
        and name not in CONFIRMATION_ONLY
        and all(is_reported(name, level) for level in levels)
        and (sometimes or name not in SOMETIMES)
    ]


def check_metric(
    metric: str,
    task: Mapping[str, Any],
    path: str,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    sometimes: bool = False,
) -> None:
    """Refuse an objective or constraint on a metric that the task never reports.

    Args:
        metric: The metric's name.
        task: A checked task.
        path: Where the name stands in the input, as `objectives[0].metric`.
        parameters: The expanded space, if it may choose the data set, the model or the
            diagnostics.
        sometimes: Take metrics that some trials do not report, too; they are no objectives.

    Raises:
        InvalidMetric: With the metrics that the task reports, and the nearest.
    """
    known = metrics(task, parameters, sometimes=sometimes)
    name = family(metric)
    if name in known or ("metric" in task and name.startswith(_OWN_METRICS)):
        return  # only the user's own metric says what it is called
    if name in CONFIRMATION_ONLY:
        searched = name.replace("test_", "val_")
        raise InvalidMetric.at(
            path,
            f"{metric!r} is known of confirmation trials only, so that no search is led by the "
            "test set.",
            found=metric,
            allowed=known,
            nearest=searched if searched in known else None,
            hint=f"Search by {searched}; `tuner study confirm` trains the best settings anew and "
            "measures them on the test set.",
        )
    hint = ""
    if name in metrics(task, parameters, sometimes=True):
        hint = f"Not every trial reports {metric}; it may be constrained."
    elif name in METRICS and name not in CLASSIFICATION_ONLY:
        hint = f"`diagnostics: {level_of(name)}` in the task reports it."
    near = None if hint else nearest(metric, known)
    raise InvalidMetric.at(
        path,
        f"the task {title(task)} reports no {metric!r}"
        + (f"; did you mean {near!r}?" if near else f", but {', '.join(known)}."),
        found=metric,
        allowed=known,
        nearest=near,
        hint=hint,
    )
