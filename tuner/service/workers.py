"""Use cases on workers: register, lease across studies, heartbeat, drain."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Row

from tuner.core.allow import needs, permits
from tuner.core.lifecycle import StopReason
from tuner.core.messages import NewWorker, WorkerHeartbeat, WorkerLease
from tuner.core.study import StudySpec
from tuner.core.wire import dumps
from tuner.errors import WorkerNotFound
from tuner.optimizers import extras
from tuner.service.asking import Ready, Reserved, Wanted, reserve
from tuner.service.idempotency import Answer
from tuner.service.specification import extras_of, spec_of
from tuner.service.views import worker_view
from tuner.storage import studies, trials, workers
from tuner.storage.clock import rfc3339
from tuner.storage.engine import Tx

# A worker counts as live for this long after it was last heard of.
LIVE_S: Final = 60.0
FORGET_S: Final = 7 * 86_400.0
# The label that names the studies which a worker's last lease call excluded, with commas between.
LEFT_ALONE: Final = "left_alone"
_MOST_NOTED: Final = 1000
_SHOWN: Final = 300


def register(tx: Tx, body: NewWorker) -> Answer:
    """Make a worker known and return its id."""
    worker_id = uuid4().hex
    workers.add(
        tx,
        id=worker_id,
        name=body.name,
        host=body.host,
        slots=body.slots,
        devices=dumps([device.model_dump(exclude_none=True) for device in body.devices]),
        runners=dumps(list(body.runners)),
        allow=dumps(list(body.allow)),
        labels=dumps(body.labels),
        draining=False,
        created_at=tx.now,
        heartbeat_at=tx.now,
    )
    return Answer(201, {"id": worker_id})


def everyone(tx: Tx) -> dict[str, Any]:
    """All workers with what they run."""
    names: dict[int, str] = {}
    running: dict[str, list[dict[str, Any]]] = {}
    for row in workers.running_trials(tx):
        if row.study_id not in names:
            study = studies.get(tx, row.study_id)
            names[row.study_id] = "" if study is None else study.name
        entry = {"study": names[row.study_id], "number": row.number}
        running.setdefault(row.worker_id, []).append(entry)
    items = [
        worker_view(row, running.get(row.id, []), row.heartbeat_at >= tx.now - LIVE_S)
        for row in workers.everyone(tx)
    ]
    return {"items": items, "next_cursor": None}


def drain(tx: Tx, worker_id: str) -> dict[str, Any]:
    """Let a worker finish what it runs and give it nothing more."""
    if not workers.change(tx, worker_id, draining=True):
        raise unknown(worker_id)
    return next(item for item in everyone(tx)["items"] if item["id"] == worker_id)


def heartbeat(tx: Tx, worker_id: str, body: WorkerHeartbeat) -> dict[str, Any]:
    """Renew all leases of a worker; name those that are to stop or that are lost.

    One that is `leaving` is forgotten at once, so that nothing counts on it; again: the same. The
    leases of one that is not known are renewed nevertheless, so it can register again and go on.
    """
    held = trials.held(tx, body.leases)
    trials.renew(tx, body.leases)
    lost = [lease for lease in body.leases if lease not in held]
    former = trials.formerly_held(tx, lost)
    stop: list[dict[str, Any]] = [
        {"study": row.study, "number": row.number, "lease": lease, "reason": row.stop_reason}
        for lease, row in held.items()
        if row.stop_reason is not None
    ]
    for lease in lost:
        study, number = former.get(lease, (None, None))
        reason = str(StopReason.LEASE_LOST)
        stop.append({"study": study, "number": number, "lease": lease, "reason": reason})
    shortest = min((row.lease_seconds for row in held.values()), default=LIVE_S)
    if body.leaving:
        workers.remove(tx, worker_id)
        known, worker = True, None
    else:
        known = workers.change(tx, worker_id, heartbeat_at=tx.now)
        worker = workers.get(tx, worker_id) if known else None
    return {
        "lease_expires_at": rfc3339(tx.now + shortest),
        "stop": stop,
        "known": known,
        "draining": body.leaving or bool(worker is not None and worker.draining),
    }


def lease(tx: Tx, worker_id: str, body: WorkerLease, ready: Mapping[int, Ready]) -> list[Reserved]:
    """Lease trials for a worker, in turn from the active studies that it may and can run.

    Args:
        tx: The transaction.
        worker_id: The worker.
        body: How many, and the worker's free resources.
        ready: Suggestions made ahead, by study id.

    Raises:
        WorkerNotFound: If the worker is not known.
    """
    worker = workers.get(tx, worker_id)
    if worker is None:
        raise unknown(worker_id)
    workers.change(tx, worker_id, heartbeat_at=tx.now, **_noted(worker, body.exclude))
    if worker.draining:
        return []
    free = _Free(body.free.gpus, body.free.cpus)
    offers = _offers(tx, worker, body)
    taken: dict[int, Reserved] = {}
    left = body.count
    while left > 0 and offers:
        remaining = []
        for study_id, spec in offers:
            if left == 0 or not free.fits(spec):
                continue
            # the row as the lease before has left it
            study = studies.get(tx, study_id, lock=True)
            if study is None:
                continue
            wanted = Wanted(1, worker_id, body.lease_seconds, ready.get(study_id))
            got = reserve(tx, study, wanted)
            if not got.leases:
                continue
            _collect(taken, got)
            free.take(spec)
            left -= 1
            remaining.append((study_id, spec))
        offers = remaining
    return list(taken.values())


def why_idle(tx: Tx, study: Row[Any]) -> str | None:
    """Why nothing runs in an active study: no live worker may or can run it; None if one can."""
    spec = spec_of(study.spec)
    if spec.trial is None:
        return None
    live = workers.live(tx, tx.now - LIVE_S)
    able = [worker for worker in live if _may_run(worker, spec)]
    wanted = extras_of(study.spec, study.expanded)
    complete = [worker for worker in able if not _lacks(worker, wanted)]
    if any(study.name not in _left_alone(worker) for worker in complete):
        return None
    if complete:
        return _why_left(tx, study)
    if able:
        return _why_lacking(wanted)
    patterns = needs(spec.trial.runner)
    if not patterns:
        return "no live worker may run this study; start one with: tuner worker start"
    options = " ".join(f"--allow {shlex.quote(pattern)}" for pattern in patterns)
    return f"no live worker may run it; start one with: tuner worker start {options}"


def unknown(worker_id: str) -> WorkerNotFound:
    """The error for a worker that is not known."""
    return WorkerNotFound(
        f"There is no worker {worker_id!r}.", hint="Register again; leases stay valid."
    )


@dataclass
class _Free:
    """What a worker has left while trials are leased to it."""

    gpus: float
    cpus: float

    def fits(self, spec: StudySpec) -> bool:
        if spec.trial is None:
            return False
        need = spec.trial.resources
        return need.gpus <= self.gpus + 1e-9 and need.cpus <= self.cpus + 1e-9

    def take(self, spec: StudySpec) -> None:
        if spec.trial is not None:
            self.gpus -= spec.trial.resources.gpus
            self.cpus -= spec.trial.resources.cpus


def _offers(tx: Tx, worker: Row[Any], body: WorkerLease) -> list[tuple[int, StudySpec]]:
    found = []
    for study in studies.leasable(tx, body.studies, body.exclude):
        spec = spec_of(study.spec)
        wanted = extras_of(study.spec, study.expanded)
        if _may_run(worker, spec) and not _lacks(worker, wanted):
            found.append((study.id, spec))
    return found


def _may_run(worker: Row[Any], spec: StudySpec) -> bool:
    trial = spec.trial
    if trial is None or trial.kind not in json.loads(worker.runners):
        return False
    return permits(json.loads(worker.allow), trial.runner)


def _lacks(worker: Row[Any], wanted: Mapping[str, Any]) -> list[str]:
    return extras.lacking(json.loads(worker.labels), wanted)


def _noted(worker: Row[Any], exclude: Sequence[str]) -> dict[str, Any]:
    """What changes of a worker's row by what it excludes now."""
    labels = json.loads(worker.labels)
    said = ",".join(exclude[:_MOST_NOTED])
    if labels.get(LEFT_ALONE, "") == said:
        return {}
    kept = {name: text for name, text in labels.items() if name != LEFT_ALONE}
    return {"labels": dumps({**kept, LEFT_ALONE: said} if said else kept)}


def _left_alone(worker: Row[Any]) -> list[str]:
    said: str = json.loads(worker.labels).get(LEFT_ALONE, "")
    return said.split(",")


def _why_left(tx: Tx, study: Row[Any]) -> str:
    """Every live worker that may run the study leaves it alone; in the words of `why_idle`."""
    text = "the live workers that may run it leave it alone for now"
    for trial in trials.waiting(tx, study.id, 1):
        if trial.message:
            text += f": {' '.join(trial.message.split())[:_SHOWN]}"
    return text


def _why_lacking(wanted: Mapping[str, list[str]]) -> str:
    """No live worker has every extra; in the words of `why_idle`."""
    parts = [f"{extra} ({', '.join(names)})" for extra, names in wanted.items()]
    commands = "; ".join(extras.install(extra) for extra in wanted)
    return f"no live worker has the extra {', '.join(parts)}; install it there with: {commands}"


def _collect(taken: dict[int, Reserved], got: Reserved) -> None:
    before = taken.setdefault(got.study_id, got)
    if before is not got:
        before.leases |= got.leases
        before.unfilled += got.unfilled
        before.used_ready = before.used_ready or got.used_ready
        before.state = got.state
