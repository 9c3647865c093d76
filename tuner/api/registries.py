"""The registries: optimizers, samplers, pruners and built-in tasks, with every option."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import items, ok
from tuner.api.inputs import Query, no_query, query
from tuner.api.operations import documented
from tuner.api.operations import router as new_router
from tuner.core.names import nearest
from tuner.errors import FieldError, NotFound
from tuner.optimizers import registry as optimizers
from tuner.optimizers.recommend import recommend
from tuner.optimizers.situation import MODELS, read
from tuner.pruners import registry as pruners
from tuner.samplers import registry as samplers
from tuner.tasks import registry as tasks
from tuner.tasks.filling import fill

_optimizers = new_router("optimizers")
_samplers = new_router("samplers")
_pruners = new_router("pruners")
_tasks = new_router("tasks")
_RECOMMEND: Final = (
    Query("model", f"Architecture: {', '.join(MODELS)}.", high=40),
    Query("dataset", "A built-in data set; fills in the model and the examples.", high=80),
    Query("examples", "Training examples.", high=40),
    Query("params", "Trainable weights, e.g. 1.2e6.", high=40),
    Query("batch", "Examples a step, or full.", high=40),
    Query("trials", "Trials over all optimizers.", high=40),
    Query("seconds", "Seconds of training over all optimizers.", high=40),
    Query("gpus", "GPUs of one trial.", high=40),
)
ROUTERS: Final[tuple[APIRouter, ...]] = (_optimizers, _samplers, _pruners, _tasks)


@_optimizers.get(**documented("/optimizers", name="list", answers={200: "EntryPage"}))
async def list_optimizers(request: Request) -> Response:
    """List optimizers: parameters, ranges, priors, defaults and their sources."""
    no_query(request)
    return items([optimizers.describe(entry) for entry in optimizers.ENTRIES.values()])


# Before the route of one optimizer, which would take the word for a name.
@_optimizers.get(
    **documented(
        "/optimizers/recommend",
        name="recommend",
        parameters=_RECOMMEND,
        answers={200: "Recommendation"},
    )
)
async def recommend_optimizers(request: Request) -> Response:
    """Which optimizers to compare for an architecture, a data size and a budget, and why."""
    return ok(recommend(read(fill(query(request, *_RECOMMEND)))))


@_optimizers.get(**documented("/optimizers/{name}", name="get", answers={200: "Entry"}))
async def get_optimizer(request: Request) -> Response:
    """Read one optimizer."""
    no_query(request)
    name = str(request.path_params["name"])
    entry = optimizers.ENTRIES.get(name)
    if entry is None:
        known = optimizers.names()
        near = nearest(name, known)
        raise NotFound(
            f"No optimizer is named {name[:80]!r}." + (f" Did you mean {near!r}?" if near else ""),
            hint=f"Known: {', '.join(known)}.",
            errors=[FieldError("name", name[:80], known, near)],
        )
    return ok(optimizers.describe(entry))


@_samplers.get(**documented("/samplers", name="list", answers={200: "EntryPage"}))
async def list_samplers(request: Request) -> Response:
    """List samplers with their options."""
    no_query(request)
    return items(samplers.describe())


@_pruners.get(**documented("/pruners", name="list", answers={200: "EntryPage"}))
async def list_pruners(request: Request) -> Response:
    """List pruners with their options."""
    no_query(request)
    return items(pruners.describe())


@_tasks.get(**documented("/tasks", name="describe", answers={200: "Tasks"}))
async def describe_tasks(request: Request) -> Response:
    """What built-in training offers: data sets, models, options and metrics."""
    no_query(request)
    return ok(tasks.describe_tasks())
