"""Every call of the API for real, on each database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tuner.service.manager import Manager


@pytest.fixture
def each(api: Any, database_url: str) -> Iterator[Any]:
    """An API over an empty database of each kind."""
    with asyncio.Runner() as runner:
        manager = runner.run(Manager.open(database_url))
        try:
            yield type(api)(runner, manager)
        finally:
            runner.run(manager.close())


def fits(each: Any, body: Any, name: str) -> None:
    """Check an answer against the described schema."""
    described = each.app.openapi()
    schema = {**described["components"]["schemas"][name], "components": described["components"]}
    errors = [str(error) for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(body)]
    assert not errors, (name, errors, body)


def test_a_study_from_creation_to_deletion(each: Any, problem: Any) -> None:
    study = each.new_study(budget={"trials": 3}, tags={"team": "a"})
    read = each.get(f"/studies/{study}").json()
    fits(each, read, "Study")
    assert read["counts"] == dict.fromkeys(read["counts"], 0)
    again = {
        key: read[key] for key in ("name", "objectives", "space", "sampler", "budget", "tags")
    }
    assert each.post("/studies", again).status_code == 200
    problem(each.post("/studies", {**again, "sampler": "grid"}), 422)
    problem(each.post("/studies", {**again, "budget": {"trials": 4}}), 409, "study-exists")
    dry = each.post("/studies?dry_run=true", {**again, "name": "dry"})
    assert dry.status_code == 200
    problem(each.get("/studies/dry"), 404)
    changed = each.call("PATCH", f"/api/v1/studies/{study}", json={"state": "paused"})
    assert changed.json()["state"] == "paused"
    assert each.post(f"/studies/{study}/ask", {}).json()["trials"] == []
    page = each.get("/studies?state=paused").json()
    fits(each, page, "StudyPage")
    assert [item["name"] for item in page["items"]] == [study]
    gone = each.call("DELETE", f"/api/v1/studies/{study}")
    assert (gone.status_code, gone.content) == (204, b"")
    problem(each.get(f"/studies/{study}"), 404, "study-not-found")


def test_a_trial_from_ask_to_tell(each: Any, problem: Any) -> None:
    study = each.new_study()
    asked = each.post(f"/studies/{study}/ask", {"count": 2, "lease_seconds": 600}).json()
    fits(each, asked, "AskedTrials")
    trial = asked["trials"][0]
    path = f"/studies/{study}/trials/{trial['number']}"
    report = {"lease": trial["lease"], "measurements": [{"step": 1, "values": {"loss": 0.5}}]}
    answer = each.post(f"{path}/report", report)
    fits(each, answer.json(), "Lease")
    assert answer.json()["should_stop"] is False
    fits(each, each.post(f"{path}/heartbeat", {"lease": trial["lease"]}).json(), "Lease")
    report["measurements"][0]["values"]["loss"] = 0.6
    problem(each.post(f"{path}/report", report), 409, "already-reported")
    problem(each.post(f"{path}/report", {"lease": "other"}), 409, "lease-lost")
    assert (
        each.post(f"{path}/log", {"lease": trial["lease"], "text": "hello\n"}).status_code == 204
    )
    fits(each, each.get(f"{path}/log").json(), "TrialLog")
    told = each.post(f"{path}/tell", {"lease": trial["lease"], "state": "complete"})
    fits(each, told.json(), "Trial")
    assert (
        each.post(f"{path}/tell", {"lease": trial["lease"], "state": "complete"}).json()
        == told.json()
    )
    problem(
        each.post(f"{path}/tell", {"lease": trial["lease"], "state": "pruned"}),
        409,
        "already-told",
    )
    fits(each, each.get(path).json(), "Trial")
    fits(each, each.get(f"{path}/measurements").json(), "MeasurementPage")
    fits(each, each.get(f"/studies/{study}/best").json(), "Trial")
    fits(each, each.get(f"/studies/{study}/pareto").json(), "Front")


def test_stop_release_and_retry(each: Any, problem: Any) -> None:
    study = each.new_study()
    trial = each.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}"
    fits(each, each.post(f"{path}/stop").json(), "Trial")
    beat = each.post(f"{path}/heartbeat", {"lease": trial["lease"]}).json()
    assert (beat["should_stop"], beat["reason"]) == (True, "cancelled")
    released = each.post(f"{path}/release", {"lease": trial["lease"], "reason": "cancelled"})
    assert released.json()["state"] == "fail"
    fits(each, each.post(f"{path}/retry").json(), "Trial")
    assert each.get(path).json()["state"] == "waiting"
    problem(each.post(f"{path}/retry"), 409)


def test_enqueue_and_import(each: Any, problem: Any) -> None:
    study = each.new_study()
    one = each.post(f"/studies/{study}/trials", {"params": {"x": 0.25}})
    assert one.status_code == 201
    fits(each, one.json(), "Trial")
    done = [{"params": {"x": 0.5}, "state": "complete", "values": {"loss": 1}}] * 2
    several = each.post(f"/studies/{study}/trials", {"trials": done})
    assert several.status_code == 201
    fits(each, several.json(), "Trials")
    problem(each.post(f"/studies/{study}/trials", {"params": {"y": 1}}), 422, "invalid-parameter")
    assert each.ask(study)["params"] == {"x": 0.25}


def test_pages_cover_everything_once(each: Any) -> None:
    study = each.new_study()
    each.post(f"/studies/{study}/trials", {"trials": [{"params": {"x": 0.5}}] * 7})
    found: list[int] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 3, **({} if cursor is None else {"cursor": cursor})}
        page = each.get(f"/studies/{study}/trials", params=params).json()
        fits(each, page, "TrialPage")
        found += [item["number"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == list(range(7))
    last = each.get(f"/studies/{study}/trials?limit=7&sort=-number").json()
    assert last["next_cursor"] is None
    assert [item["number"] for item in last["items"]] == list(range(6, -1, -1))
    some = each.get(f"/studies/{study}/trials?state=running,complete&state=fail").json()
    assert some["items"] == []


def test_a_worker_registers_leases_and_drains(each: Any, problem: Any) -> None:
    study = each.new_study(trial={"python": "pkg.module:objective"})
    body = {"name": "w", "host": "h", "runners": ["python"], "allow": ["pkg.module:objective"]}
    registered = each.post("/workers", body)
    assert registered.status_code == 201
    worker = registered.json()["id"]
    every = [item["name"] for item in each.get("/studies?limit=1000").json()["items"]]
    without = each.post(f"/workers/{worker}/lease", {"exclude": every})
    assert (without.status_code, without.json()["trials"]) == (200, [])
    wrong = each.post(f"/workers/{worker}/lease", {"exclude": [1]})
    assert problem(wrong, 422)["errors"][0]["path"] == "exclude[0]"
    leased = each.post(f"/workers/{worker}/lease", {"free": {"gpus": 0, "cpus": 4}})
    fits(each, leased.json(), "AskedTrials")
    (trial,) = leased.json()["trials"]
    assert (trial["study"], trial["runner"]) == (study, {"python": "pkg.module:objective"})
    beat = each.post(f"/workers/{worker}/heartbeat", {"leases": [trial["lease"], "gone"]}).json()
    fits(each, beat, "WorkerLeases")
    assert [(item["lease"], item["reason"]) for item in beat["stop"]] == [("gone", "lease-lost")]
    fits(each, each.get("/workers").json(), "WorkerPage")
    assert each.post(f"/workers/{worker}/drain").status_code == 200
    assert each.post(f"/workers/{worker}/lease", {}).json()["trials"] == []
    problem(each.post("/workers/nobody/heartbeat", {"leases": []}), 404, "worker-not-found")


def test_a_key_gets_the_first_answer_again(each: Any, problem: Any) -> None:
    study = each.new_study()
    key = {"Idempotency-Key": "once"}
    first = each.post(f"/studies/{study}/ask", {"count": 2}, headers=key)
    again = each.post(f"/studies/{study}/ask", {"count": 2}, headers=key)
    assert first.json() == again.json()
    other = each.post(f"/studies/{study}/ask", {"count": 3}, headers=key)
    problem(other, 422, "idempotency-mismatch")


def test_reports_exports_and_importance(each: Any) -> None:
    study = each.new_study()
    done = [
        {"params": {"x": i / 10}, "state": "complete", "values": {"loss": i / 10}}
        for i in range(8)
    ]
    each.post(f"/studies/{study}/trials", {"trials": done})
    assert isinstance(each.get(f"/studies/{study}/report").json(), dict)
    page = each.get(f"/studies/{study}/report?format=html")
    assert page.headers["content-type"].startswith("text/html")
    assert "sandbox" in page.headers["content-security-policy"]
    assert each.get(f"/studies/{study}/report?format=md").text.startswith("#")
    lines = each.get(f"/studies/{study}/export")
    assert f'filename="{study}.jsonl"' in lines.headers["content-disposition"]
    rows = [json.loads(line) for line in lines.text.splitlines()]
    assert [row["number"] for row in rows] == list(range(8))
    fits(each, rows[0], "Trial")
    assert "params.x" in each.get(f"/studies/{study}/export?format=csv").text.splitlines()[0]
    assert each.get(f"/studies/{study}/export?format=parquet").content[:4] == b"PAR1"
    fits(each, each.get(f"/studies/{study}/importance").json(), "Importance")


def test_advice_follows_from_the_trials(each: Any, problem: Any) -> None:
    study = each.new_study(space={"x": {"type": "float", "low": 1.0, "high": 4.0}})
    empty = each.get(f"/studies/{study}/advice").json()
    assert (empty["study"], empty["state"], empty["advice"]) == (study, "active", [])
    done = [
        {"params": {"x": x}, "state": "complete", "values": {"loss": -x}} for x in (1.0, 2.0, 4.0)
    ]
    each.post(f"/studies/{study}/trials", {"trials": done})
    found = each.get(f"/studies/{study}/advice")
    assert found.headers["content-type"] == "application/json"
    fits(each, found.json(), "AdviceAnswer")
    edge = next(item for item in found.json()["advice"] if item["code"] == "edge-of-range")
    assert edge["study_file"]["name"] == f"{study}-wider"
    assert "high: 5.5" in edge["study_file"]["yaml"]
    assert each.get(f"/studies/{study}/report").json()["advice"] == found.json()["advice"]
    problem(each.get(f"/studies/{study}/advice?format=md"), 422)
    problem(each.get("/studies/nobody/advice"), 404, "study-not-found")


def test_optimizers_are_recommended_for_a_situation(each: Any, problem: Any) -> None:
    found = each.get("/optimizers/recommend?dataset=digits&trials=60").json()
    fits(each, found, "Recommendation")
    assert found["optimizers"][0]["name"] == "nesterov"
    assert found["situation"]["examples"] == 1438
    full = each.get("/optimizers/recommend?model=linear&examples=5e3&batch=full").json()
    assert full["optimizers"][0]["name"] == "lbfgs"
    wrong = problem(each.get("/optimizers/recommend?model=cnm"), 422, "unknown-name")
    assert wrong["errors"][0]["nearest"] == "cnn"
    problem(each.get("/optimizers/recommend?model=mlp&trials=0"), 422)
    problem(each.get("/optimizers/recommend"), 422)
    problem(each.get("/optimizers/recommend?modle=mlp"), 422, "unknown-name")


def test_nothing_found_yet_is_a_problem_of_its_own(each: Any, problem: Any) -> None:
    study = each.new_study()
    problem(each.get(f"/studies/{study}/best"), 404, "no-result-yet")
    both = [["loss", "minimize"], ["size", "minimize"]]
    several = each.new_study(objective=None, objectives=both)
    problem(each.get(f"/studies/{several}/best"), 409)


def test_ready_metrics_and_registries(each: Any) -> None:
    study = each.new_study()
    each.ask(study)
    ready = each.call("GET", "/readyz")
    assert ready.status_code == 200
    fits(each, ready.json(), "Ready")
    page = each.call("GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'tuner_trials{state="running"} 1.0' in page.text
    assert 'route="/api/v1/studies/{name}/ask"' in page.text
    assert "tuner_lease_expiries_total 0.0" in page.text
    assert study not in page.text
    for noun, name in (("optimizers", "adam"), ("samplers", "gp"), ("pruners", "asha")):
        listed = each.get(f"/{noun}").json()
        fits(each, listed, "EntryPage")
        assert name in [item["name"] for item in listed["items"]]
    assert each.get("/optimizers/adam").json()["name"] == "adam"
    assert {"datasets", "models", "options", "metrics"} <= set(each.get("/tasks").json())


def test_an_unknown_optimizer_names_the_nearest(each: Any, problem: Any) -> None:
    body = problem(each.get("/optimizers/adm"), 404)
    assert body["errors"][0]["nearest"] == "adam"


def test_confirm_answers_the_queued_trials_and_a_repeat_gets_them_again(api, problem):
    study = api.new_study(budget={"trials": 1})
    problem(api.post(f"/studies/{study}/confirm", {}), 404, "no-result-yet")
    trial = api.ask(study)
    told = {"lease": trial["lease"], "state": "complete", "values": {"loss": 0.5}}
    api.post(f"/studies/{study}/trials/0/tell", told)
    key = {"Idempotency-Key": "confirm-once"}
    first = api.post(f"/studies/{study}/confirm", {"seeds": 2}, headers=key)
    assert first.status_code == 201
    assert [t["user_attrs"] for t in first.json()["trials"]] == [
        {"confirms": 0, "replicate": 1},
        {"confirms": 0, "replicate": 2},
    ]
    again = api.post(f"/studies/{study}/confirm", {"seeds": 2}, headers=key)
    assert again.json() == first.json()
    assert len(api.post(f"/studies/{study}/confirm").json()["trials"]) == 5
    wrong = problem(api.post(f"/studies/{study}/confirm", {"seeds": 0}), 422, "invalid")
    assert wrong["errors"][0]["path"] == "seeds"


def test_a_comparison_says_how_far_it_is(api):
    study = api.new_study(space={}, compare={"optimizers": ["adamw", "sgd"], "trials": 1})
    body = api.get(f"/studies/{study}").json()
    assert body["compare"] == {"trials": 1, "seeds": 5}
    assert body["comparison"] == {
        "phase": "searching", "searched": 0, "search_trials": 2, "confirmed": 0,
        "confirm_trials": 10,
    }  # fmt: skip
    plain = api.get(f"/studies/{api.new_study()}").json()
    assert "compare" not in plain
    assert "comparison" not in plain
