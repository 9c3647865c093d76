"""The registries: optimizers, samplers, pruners and built-in tasks, with every option."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import items, ok
from tuner.api.inputs import no_query
from tuner.api.operations import documented
from tuner.api.operations import router as new_router
from tuner.core.names import nearest
from tuner.errors import FieldError, NotFound
from tuner.optimizers import registry as optimizers
from tuner.pruners import registry as pruners
from tuner.samplers import registry as samplers
from tuner.tasks import registry as tasks

_optimizers = new_router("optimizers")
_samplers = new_router("samplers")
_pruners = new_router("pruners")
_tasks = new_router("tasks")
ROUTERS: Final[tuple[APIRouter, ...]] = (_optimizers, _samplers, _pruners, _tasks)


@_optimizers.get(**documented("/optimizers", name="list", answers={200: "EntryPage"}))
async def list_optimizers(request: Request) -> Response:
    """List optimizers: parameters, ranges, priors, defaults and their sources."""
    no_query(request)
    return items([optimizers.describe(entry) for entry in optimizers.ENTRIES.values()])


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
