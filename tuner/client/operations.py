"""Every call of the REST API, written once: the sync and the async client only send it otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tuner.client.operation import (
    Answer,
    Operation,
    Repeat,
    read_bytes,
    read_json,
    read_nothing,
    read_text,
)
from tuner.core.wire import encode_metric
from tuner.errors import Invalid, StudyNotFound

API: Final = "/api/v1"
Json = dict[str, Any]


def _segment(name: object, what: str = "name") -> str:
    text = str(name)
    if not text:
        raise Invalid.at(what, "is empty.")
    # A path of dots would be resolved away, encoded it reaches the server as a name.
    return text.replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def _study(name: str, *rest: object) -> str:
    return "/".join([f"{API}/studies/{_segment(name)}", *(str(part) for part in rest)])


def _trial(study: str, number: int, *rest: str) -> str:
    if type(number) is not int or number < 0:
        raise Invalid.at("number", f"found {number!r}, expected a trial number.", found=number)
    return _study(study, "trials", number, *rest)


def encode_values(values: Mapping[str, float]) -> dict[str, float | str]:
    """Metric values for JSON; those that are not finite as their strings."""
    return {
        name: value if math.isfinite(value) else encode_metric(value)
        for name, value in values.items()
    }


def _given(**fields: Any) -> Json:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


# Studies ------------------------------------------------------------------------------------


def create_study(data: Mapping[str, Any], dry_run: bool = False) -> Operation[Json]:
    """Create a study; of a name that exists with the same specification, that study."""
    params = {"dry_run": True} if dry_run else {}
    repeat = Repeat.SAFE if dry_run else Repeat.KEYED
    return Operation("POST", f"{API}/studies", read_json, params, dict(data), repeat)


def ensure_study(data: Mapping[str, Any]) -> Operation[tuple[bool, Json]]:
    """As `create_study`; says whether the study is new."""

    def parse(answer: Answer) -> tuple[bool, Json]:
        return answer.status == 201, answer.json()

    return Operation("POST", f"{API}/studies", parse, {}, dict(data), Repeat.KEYED)


def list_studies(
    limit: int | None = None,
    cursor: str | None = None,
    state: str | Sequence[str] | None = None,
    q: str | None = None,
) -> Operation[Json]:
    """One page of studies by name; `q` is a part of the name."""
    params = {"limit": limit, "cursor": cursor, "state": state, "q": q}
    return Operation("GET", f"{API}/studies", read_json, params)


def get_study(name: str) -> Operation[Json]:
    """One study."""
    return Operation("GET", _study(name), read_json)


def change_study(
    name: str,
    state: str | None = None,
    now: bool | None = None,
    budget: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    compare: Mapping[str, Any] | None = None,
) -> Operation[Json]:
    """Pause (`now`: running trials too), resume, stop; change budget or tags."""
    body = _given(state=state, now=now, budget=budget, tags=tags, compare=compare)
    return Operation("PATCH", _study(name), read_json, body=body)


def confirm_study(name: str, seeds: int = 5, top: int = 1) -> Operation[Json]:
    """Queue the best settings on fresh seeds: `{trials}`."""
    body = {"seeds": seeds, "top": top}
    return Operation("POST", _study(name, "confirm"), read_json, {}, body, Repeat.KEYED)


def delete_study(name: str) -> Operation[None]:
    """Delete a study with all its trials."""
    return Operation("DELETE", _study(name), read_nothing, done=StudyNotFound)


def study_schema() -> Operation[Json]:
    """The JSON Schema of a study file, with every option."""
    return Operation("GET", f"{API}/schemas/study", read_json)


def best(study: str) -> Operation[Json]:
    """The best trial (404 while there is none)."""
    return Operation("GET", _study(study, "best"), read_json)


def pareto(study: str) -> Operation[Json]:
    """The trials that no other one beats in every objective."""
    return Operation("GET", _study(study, "pareto"), read_json)


def importance(study: str) -> Operation[Json]:
    """How much each parameter matters."""
    return Operation("GET", _study(study, "importance"), read_json, slow=True)


def advice(study: str) -> Operation[Json]:
    """What to do next: `{study, state, advice, diagnostics}`."""
    return Operation("GET", _study(study, "advice"), read_json, slow=True)


def study_report(study: str, format: str = "json") -> Operation[Any]:
    """The report: a dict for json, else text (md, html)."""
    parse = read_json if format == "json" else read_text
    return Operation("GET", _study(study, "report"), parse, {"format": format}, slow=True)


def comparison(studies: Sequence[str], format: str = "json") -> Operation[Any]:
    """Several studies side by side: a dict for json, else text (md, html)."""
    parse = read_json if format == "json" else read_text
    params = {"studies": ",".join(studies), "format": format}
    return Operation("GET", f"{API}/comparison", parse, params, slow=True)


def export(study: str, format: str = "jsonl") -> Operation[Any]:
    """All trials: text for jsonl and csv, bytes for parquet."""
    parse: Callable[[Answer], Any] = read_bytes if format == "parquet" else read_text
    return Operation("GET", _study(study, "export"), parse, {"format": format}, slow=True)


# Trials -------------------------------------------------------------------------------------


def ask(
    study: str, count: int = 1, worker_id: str | None = None, lease_seconds: float = 60
) -> Operation[Json]:
    """Lease up to `count` trials: `{trials, study_state}`."""
    body = _given(count=count, worker_id=worker_id, lease_seconds=lease_seconds)
    return Operation("POST", _study(study, "ask"), read_json, {}, body, Repeat.KEYED, slow=True)


def add_trials(study: str, data: Any) -> Operation[Json]:
    """Enqueue or import one trial (a mapping) or several (`{"trials": […]}`, or a list)."""
    body = {"trials": list(data)} if isinstance(data, list | tuple) else data
    return Operation("POST", _study(study, "trials"), read_json, {}, body, Repeat.KEYED, slow=True)


def list_trials(
    study: str,
    state: str | Sequence[str] | None = None,
    sort: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Operation[Json]:
    """One page of trials, by number unless `sort` (`number`, `value`, either with `-`)."""
    params = {"state": state, "sort": sort, "cursor": cursor, "limit": limit}
    return Operation("GET", _study(study, "trials"), read_json, params)


def get_trial(study: str, number: int) -> Operation[Json]:
    """One trial."""
    return Operation("GET", _trial(study, number), read_json)


def measurements(
    study: str, number: int, cursor: str | None = None, limit: int | None = None
) -> Operation[Json]:
    """One page of what a trial reported: rows of `{attempt, step, values}`."""
    params = {"cursor": cursor, "limit": limit}
    return Operation("GET", _trial(study, number, "measurements"), read_json, params)


def trial_log(study: str, number: int) -> Operation[Json]:
    """What a trial wrote: items of `{attempt, text, created_at}`."""
    return Operation("GET", _trial(study, number, "log"), read_json)


def append_log(study: str, number: int, lease: str, text: str) -> Operation[None]:
    """Append to a trial's log; a repeat may write a piece twice, which beats losing it."""
    body = {"lease": lease, "text": text}
    return Operation("POST", _trial(study, number, "log"), read_nothing, body=body)


def report(
    study: str,
    number: int,
    lease: str,
    measurements: Iterable[Mapping[str, Any]] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Operation[Json]:
    """Report `{step, values}` rows and renew: `{should_stop, reason, lease_expires_at}`."""
    rows = [{"step": m["step"], "values": encode_values(m["values"])} for m in measurements]
    body = _given(lease=lease, measurements=rows, checkpoint=checkpoint)
    return Operation("POST", _trial(study, number, "report"), read_json, body=body)


def heartbeat(study: str, number: int, lease: str) -> Operation[Json]:
    """Renew the lease; answers as `report`."""
    return Operation("POST", _trial(study, number, "heartbeat"), read_json, body={"lease": lease})


def release(
    study: str, number: int, lease: str, reason: str = "preempted", message: str | None = None
) -> Operation[Json]:
    """Give a trial back to the queue, or end the attempt by another reason."""
    body = _given(lease=lease, reason=reason, message=message)
    return Operation("POST", _trial(study, number, "release"), read_json, body=body)


def stop_trial(study: str, number: int) -> Operation[Json]:
    """Ask a running trial to stop; end a waiting one."""
    return Operation("POST", _trial(study, number, "stop"), read_json)


def retry_trial(study: str, number: int) -> Operation[Json]:
    """Put a failed trial back to waiting."""
    return Operation("POST", _trial(study, number, "retry"), read_json, repeat=Repeat.NEVER)


def tell(
    study: str,
    number: int,
    lease: str,
    state: str = "complete",
    values: Mapping[str, float] | None = None,
    reason: str | None = None,
    message: str | None = None,
) -> Operation[Json]:
    """End a trial; without values a complete one takes what it reported."""
    encoded = None if values is None else encode_values(values)
    body = _given(lease=lease, state=state, values=encoded, reason=reason, message=message)
    return Operation("POST", _trial(study, number, "tell"), read_json, {}, body, Repeat.KEYED)


# Workers and registries ---------------------------------------------------------------------


def register_worker(data: Mapping[str, Any]) -> Operation[Json]:
    """Register a worker: `{id}`."""
    return Operation("POST", f"{API}/workers", read_json, {}, dict(data), Repeat.KEYED)


def list_workers() -> Operation[Json]:
    """The workers that are known."""
    return Operation("GET", f"{API}/workers", read_json)


def drain_worker(worker_id: str) -> Operation[Json]:
    """Give a worker no more trials."""
    return Operation("POST", _worker(worker_id, "drain"), read_json)


def lease_trials(
    worker_id: str,
    count: int,
    free: Mapping[str, float],
    studies: Sequence[str] | None = None,
    lease_seconds: float = 60,
    exclude: Sequence[str] = (),
) -> Operation[Json]:
    """Lease trials for a worker, of `studies` only if given, of none of `exclude`: `{trials}`."""
    named = None if studies is None else list(studies)
    body = _given(count=count, free=dict(free), studies=named, lease_seconds=lease_seconds)
    if exclude:  # only then: a server that does not know the key refuses it
        body["exclude"] = list(exclude)
    return Operation(
        "POST", _worker(worker_id, "lease"), read_json, {}, body, Repeat.KEYED, slow=True
    )


def worker_heartbeat(
    worker_id: str, leases: Sequence[str], leaving: bool = False
) -> Operation[Json]:
    """Renew all leases of a worker: `{lease_expires_at, stop: […]}`; `leaving`: it ends."""
    body = {"leases": list(leases), **({"leaving": True} if leaving else {})}
    return Operation("POST", _worker(worker_id, "heartbeat"), read_json, body=body)


def _worker(worker_id: str, verb: str) -> str:
    return f"{API}/workers/{_segment(worker_id, 'worker_id')}/{verb}"


def list_optimizers() -> Operation[Json]:
    """The registry of optimizers."""
    return Operation("GET", f"{API}/optimizers", read_json)


def recommend(**situation: Any) -> Operation[Json]:
    """Which optimizers to compare, by `model`, `dataset`, `examples`, `params`, `batch`, `trials`."""
    return Operation("GET", f"{API}/optimizers/recommend", read_json, _given(**situation))


def get_optimizer(name: str) -> Operation[Json]:
    """One optimizer: its parameters, scales, ranges, defaults and their sources."""
    return Operation("GET", f"{API}/optimizers/{_segment(name)}", read_json)


def list_samplers() -> Operation[Json]:
    """The registry of samplers with their options."""
    return Operation("GET", f"{API}/samplers", read_json)


def list_pruners() -> Operation[Json]:
    """The registry of pruners with their options."""
    return Operation("GET", f"{API}/pruners", read_json)


def ready() -> Operation[Json]:
    """Whether the server reaches its database and the schema fits."""
    return Operation("GET", "/readyz", read_json)


def events(study: str | None = None) -> Operation[None]:
    """The stream of events of a study, or of all."""
    path = f"{API}/events" if study is None else _study(study, "events")
    return Operation("GET", path, read_nothing)
