"""Suggestions of model-based samplers: fitted off the request path, one fit per study at a time.

The history is kept as plain data, topped up by the order of results, and can be dropped and
rebuilt at any moment. With none running an ask waits for a fit on all results; while trials run,
the next suggestion is made ahead and carries how many results it has not seen.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy import Row

from tuner.core.lifecycle import StudyState
from tuner.core.ranking import loss
from tuner.core.study import StudySpec
from tuner.core.wire import decode_metric, loads
from tuner.errors import TunerError
from tuner.samplers import registry as samplers
from tuner.service.asking import Filling, Ready, Reserved, fill, still_held
from tuner.service.pool import Pool
from tuner.service.specification import sampler_spec, spec_of
from tuner.service.state import Ledger, is_spent
from tuner.service.views import metric_values
from tuner.storage import studies, trials
from tuner.storage.engine import Database, Tx

logger = logging.getLogger(__name__)
T = TypeVar("T")
ENTRY: Final = "tuner.samplers.entry:run"
_WORTH_IT: Final = 2
# Results kept of all studies together (about 1 KB each); a view counts as some.
MOST_KEPT: Final = 100_000
_VIEW_COUNTS: Final = 50


@dataclass
class _View:
    """What one server process remembers of a study."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    history: list[dict[str, Any]] = field(default_factory=list)
    seen: int = 0
    ready: Ready | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is computed for the study."""
        return not self.lock.locked() and (self.task is None or self.task.done())


@dataclass(frozen=True)
class _Snapshot:
    """A study as a fit sees it."""

    study: Row[Any]
    new: list[dict[str, Any]]
    pending: list[dict[str, Any]]


class Suggester:
    """Fills reserved trials and keeps the next suggestion ready.

    Args:
        database: Where studies are.
        pool: Where models are fitted.
    """

    def __init__(self, database: Database, pool: Pool) -> None:
        self._database = database
        self._pool = pool
        self._views: dict[int, _View] = {}
        self.seconds: dict[str, float] = {}
        self.fits: dict[str, int] = {}

    def ready(self) -> dict[int, Ready]:
        """All suggestions made ahead, by study id."""
        return {key: view.ready for key, view in self._views.items() if view.ready is not None}

    def wants(self, study: Row[Any]) -> bool:
        """Whether a suggestion made ahead would be of use to a study as it stands."""
        view = self._views.get(study.id)
        return _is_useful(study, None if view is None else view.ready)

    def used(self, study_id: int) -> None:
        """The ready suggestion of a study was handed out."""
        view = self._views.get(study_id)
        if view is not None:
            view.ready = None

    def drop(self, study_id: int) -> None:
        """Forget a study."""
        view = self._views.pop(study_id, None)
        if view is not None and view.task is not None:
            view.task.cancel()

    def warm(self) -> None:
        """Start the pool for a study that will need it soon."""
        self._pool.warm("tuner.samplers.entry", "tuner.samplers.gp", "optuna")

    async def fill(self, reserved: Reserved) -> None:
        """Give the reserved trials that have no parameters theirs."""
        if not reserved.unfilled:
            return
        view = self._view(reserved.study_id)
        async with view.lock:
            snapshot = await self._snapshot(view, reserved.study_id)
            if snapshot is None:
                return
            held = await _read(self._database, lambda tx: still_held(tx, reserved))
            rows = [row for row in held if row.params is None]
            fillings, seconds = await self._fit_all(view, snapshot, rows)
            view.ready = None
            await asyncio.wrap_future(
                self._database.write(lambda tx: fill(tx, reserved.study_id, fillings, seconds))
            )

    def ahead(self, study_id: int) -> None:
        """Make the next suggestion in the background, if it will be of use."""
        view = self._view(study_id)
        if view.task is None or view.task.done():
            view.task = asyncio.create_task(self._ahead(view, study_id))

    def _view(self, study_id: int) -> _View:
        """What is remembered of a study; the studies asked for longest ago make room."""
        view = self._views.pop(study_id, None)
        if view is None:
            self._make_room()
            view = _View()
        self._views[study_id] = view
        return view

    def _make_room(self) -> None:
        kept = sum(_VIEW_COUNTS + len(view.history) for view in self._views.values())
        for key, view in list(self._views.items()):
            if kept <= MOST_KEPT:
                return
            if view.is_idle:
                kept -= _VIEW_COUNTS + len(view.history)
                del self._views[key]

    async def close(self) -> None:
        """End the background fits."""
        tasks = [view.task for view in self._views.values() if view.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ahead(self, view: _View, study_id: int) -> None:
        try:
            async with view.lock:
                snapshot = await self._snapshot(view, study_id)
                if snapshot is None or not _is_useful(snapshot.study, view.ready):
                    return
                study = snapshot.study
                made, seconds = await self._fit(view, snapshot, study.next_index, 1, {})
                if not made:
                    return
                view.ready = Ready(study.next_index, view.seen, made[0]["params"], made[0]["note"])
                await asyncio.wrap_future(
                    self._database.write(lambda tx: fill(tx, study_id, [], seconds))
                )
        except TunerError as error:
            logger.warning("no suggestion was made ahead: %s", error)
        except Exception:
            # the next ask meets it too, and answers it
            logger.exception("no suggestion was made ahead")

    async def _snapshot(self, view: _View, study_id: int) -> _Snapshot | None:
        """Bring the view up to date; None if the study is gone."""
        seen = view.seen
        snapshot = await _read(self._database, lambda tx: _look(tx, study_id, seen))
        if snapshot is None:
            self.drop(study_id)
            return None
        view.history += snapshot.new
        view.seen = snapshot.study.results
        return snapshot

    async def _fit_all(
        self, view: _View, snapshot: _Snapshot, rows: Sequence[Row[Any]]
    ) -> tuple[list[Filling], float]:
        """Fit for rows without parameters: new numbers together, completed ones each on its own."""
        fillings: list[Filling] = []
        total = 0.0
        for group in _groups(rows):
            fixed = json.loads(group[0].fixed or "{}")
            index = group[0].sampler_index
            if index is None:
                # an enqueued trial has no place in the sampler's sequence
                index = 2**40 + group[0].number
            ready = _take(view, snapshot.study, index, len(group))
            made, seconds = ready, 0.0
            if not made:
                made, seconds = await self._fit(view, snapshot, index, len(group), fixed)
            total += seconds
            seen = view.seen if not ready or view.ready is None else view.ready.seen
            for row, item in zip(group, made, strict=False):
                snapshot.pending.append(item["params"])
                fillings.append(Filling(row.id, row.lease, item["params"], item["note"], seen))
        return fillings, total

    async def _fit(
        self, view: _View, snapshot: _Snapshot, index: int, count: int, fixed: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], float]:
        study = snapshot.study
        spec = sampler_spec(study.spec)
        request = {
            "index": index,
            "count": count,
            "history": view.history,
            "pending": snapshot.pending,
            "fixed": fixed,
            "n_objectives": len(spec_of(study.spec).objectives),
        }
        begun = time.monotonic()
        made = await self._pool.run(ENTRY, spec, loads(study.expanded), request)
        seconds = time.monotonic() - begun
        name = str(spec["name"])
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.fits[name] = self.fits.get(name, 0) + 1
        return made, seconds


def _look(tx: Tx, study_id: int, seen: int) -> _Snapshot | None:
    study = studies.get(tx, study_id)
    if study is None:
        return None
    spec = spec_of(study.spec)
    new = [_observation(row, spec) for row in trials.results_since(tx, study_id, seen)]
    pending = [json.loads(text) for text in trials.pending_params(tx, study_id)]
    return _Snapshot(study, new, pending)


def _observation(row: Row[Any], spec: StudySpec) -> dict[str, Any]:
    """A finished trial as the fields of `samplers.base.Observation`."""
    values = metric_values(row.metrics)
    losses = None
    if row.state == "complete":
        numbers = [decode_metric(values.get(o.metric, "NaN")) for o in spec.objectives]
        losses = tuple(
            loss(math.nan if number is None else number, objective.direction)
            for number, objective in zip(numbers, spec.objectives, strict=True)
        )
    last = None
    if row.last_step is not None:
        last = (row.last_step, math.inf if row.last_loss is None else row.last_loss)
    return {
        "number": row.number,
        "params": json.loads(row.params),
        "state": row.state,
        "losses": losses,
        "last": last,
        "feasible": bool(row.feasible),
        "index": row.sampler_index,
        "note": None if row.note is None else json.loads(row.note),
    }


def _is_useful(study: Row[Any], ready: Ready | None) -> bool:
    """Whether a suggestion made now is likely to be taken.

    While a single trial runs its result will come before the next ask, which then waits for a fit
    on all results anyway.
    """
    spec = spec_of(study.spec)
    if not samplers.needs_history(spec.sampler.name) or study.state != StudyState.ACTIVE:
        return False
    if spec.compare is not None and spec.compare.seconds is not None:
        return False  # whose turn it is is known when the next trial is asked for
    if is_spent(Ledger(study)):
        return False
    if study.n_running < _WORTH_IT or study.n_waiting > 0:
        return False
    return not (
        ready is not None
        and ready.index == study.next_index
        and study.results - ready.seen < study.n_running
    )


def _take(view: _View, study: Row[Any], index: int, count: int) -> list[dict[str, Any]]:
    """The suggestion made while this call waited for the lock, if it is fresh enough."""
    ready = view.ready
    others = study.n_running - 1
    if ready is None or count != 1 or ready.index != index or study.results - ready.seen > others:
        return []
    return [{"params": dict(ready.params), "note": ready.note}]


def _groups(rows: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    """Rows of consecutive sampler indices together; completed ones alone."""
    groups: list[list[Row[Any]]] = []
    for row in sorted(rows, key=lambda item: item.number):
        last = groups[-1][-1] if groups else None
        follows = (
            last is not None
            and row.sampler_index is not None
            and last.sampler_index is not None
            and row.sampler_index == last.sampler_index + 1
        )
        if follows:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


async def _read(database: Database, work: Callable[[Tx], T]) -> T:
    return await asyncio.wrap_future(database.read(work))
