"""Ask, enqueue and import through the manager, on both databases."""

from __future__ import annotations

import pytest

from tuner.errors import Conflict, Invalid, InvalidMetric, InvalidParameter, StudyNotFound

BRANCHES = {
    "kind": {"type": "categorical", "choices": ["a", "b"]},
    "a.x": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["a"]}},
    "b.x": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
    "deep": {"type": "int", "low": 1, "high": 3, "when": {"kind": ["b"]}},
    "deeper": {"type": "float", "low": 0.0, "high": 1.0, "when": {"deep": [3]}},
}


def test_an_asked_trial_carries_its_lease_and_runner(service):
    runner = {"command": ["train", "--x", "{x}"], "timeout": 5.0, "resources": {"gpus": 1}}
    name = service.new_study(trial=runner)
    (trial,) = service.ask(name, worker_id="me", lease_seconds=90)
    assert trial["state"] == "running"
    assert (trial["number"], trial["attempt"], trial["worker_id"]) == (0, 1, "me")
    assert trial["runner"] == {"command": ["train", "--x", "{x}"]}
    assert trial["resources"] == {"gpus": 1.0, "cpus": 1.0}
    assert trial["timeout"] == 5.0
    assert trial["sampler"]["name"] == "random"
    assert len(trial["lease"]) >= 16
    read = service.trial(name, 0)
    assert "lease" not in read
    assert {key: trial[key] for key in read if key != "attempts"} == {
        key: value for key, value in read.items() if key != "attempts"
    }


def test_waiting_trials_come_first_lowest_number_first(service):
    name = service.new_study()
    first = service.ask(name, 3)
    service.release(first[2])
    service.release(first[0])
    service.add(name, {"params": {"x": 0.5}})
    assert [t["number"] for t in service.ask(name, 5)] == [0, 2, 3, 4, 5]
    assert service.study(name)["counts"]["running"] == 6


def test_numbers_are_dense_over_ask_enqueue_and_import(service):
    name = service.new_study()
    service.ask(name, 2)
    service.add(name, {"trials": [{"params": {"x": 0.1}}, {"params": {"x": 0.2}}]})
    service.add(name, {"params": {"x": 0.3}, "state": "fail", "reason": "oom"})
    service.ask(name, 3)
    assert [t["number"] for t in service.trials(name)] == [0, 1, 2, 3, 4, 5]


def test_a_study_that_does_not_exist_has_nothing_to_ask(service):
    with pytest.raises(StudyNotFound, match="nowhere"):
        service.ask("nowhere")


# --- enqueue


def test_an_enqueued_trial_runs_with_its_parameters_and_attributes(service):
    name = service.new_study()
    queued = service.add(name, {"params": {"x": 0.25}, "user_attrs": {"why": ["a", 1, None]}})
    assert (queued["state"], queued["number"], queued["attempt"]) == ("waiting", 0, 0)
    (trial,) = service.ask(name)
    assert trial["params"] == {"x": 0.25}
    assert trial["user_attrs"] == {"why": ["a", 1, None]}
    assert trial["sampler"] is None


@pytest.mark.parametrize("sampler", ["random", "qmc", "grid", "tpe"])
def test_a_partial_trial_is_completed_and_keeps_what_was_given(service, sampler):
    space = {**BRANCHES, "a.x": {**BRANCHES["a.x"], "points": 3}}
    space = {
        key: {**value, "points": 3} if value["type"] == "float" else value
        for key, value in space.items()
    }
    name = service.new_study(space=space, sampler=sampler)
    service.add(name, {"params": {"b.x": 0.5}})
    service.add(name, {"params": {"deeper": 0.5}})
    service.add(name, {"params": {}})
    first, second, third = service.ask(name, 3)
    assert first["params"]["kind"] == "b"
    assert first["params"]["b.x"] == 0.5
    assert "deep" in first["params"]
    assert second["params"]["deep"] == 3
    assert second["params"]["deeper"] == 0.5
    assert set(third["params"]) >= {"kind"}


def test_enqueued_and_imported_trials_take_nothing_from_the_samplers_sequence(service):
    plain = service.new_study(sampler={"name": "random", "seed": 3})
    mixed = service.new_study(sampler={"name": "random", "seed": 3})
    wanted = [t["params"] for t in service.ask(plain, 4)]
    service.add(mixed, {"params": {"x": 0.5}})
    got = service.ask(mixed, 2)[1:]
    service.add(mixed, {"params": {"x": 0.5}, "state": "complete", "values": {"loss": 1}})
    service.add(mixed, {"params": {}})
    got += service.ask(mixed, 4)[1:]
    assert [t["params"] for t in got] == wanted


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"kindd": "a"}, "params.kindd"),
        ({"kind": "c"}, "params.kind"),
        ({"kind": "a", "b.x": 0.5}, "params.b.x"),
        ({"a.x": 2.0}, "params.a.x"),
        ({"a.x": True}, "params.a.x"),
        ({"a.x": None}, "params.a.x"),
        ({"deep": 2, "deeper": 0.5}, "params.deeper"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_with_their_path(service, params, path):
    name = service.new_study(space=BRANCHES)
    with pytest.raises(InvalidParameter) as caught:
        service.add(name, {"params": params})
    assert caught.value.errors[0].path == path
    with pytest.raises(InvalidParameter) as caught:
        service.add(name, {"trials": [{"params": {}}, {"params": params}]})
    assert caught.value.errors[0].path == f"trials[1].{path}"
    assert service.trials(name) == []


def test_enqueuing_takes_no_values(service):
    name = service.new_study()
    for key, value in (("values", {"loss": 1}), ("reason", "oom")):
        with pytest.raises(Invalid) as caught:
            service.add(name, {"params": {"x": 0.5}, key: value})
        assert caught.value.errors[0].path == key


def test_all_or_none_of_several_trials_are_added(service):
    name = service.new_study(budget={"trials": 2})
    three = [{"params": {"x": 0.1}}] * 3
    with pytest.raises(Conflict, match="2 of 2"):
        service.add(name, {"trials": three})
    assert service.trials(name) == []
    assert len(service.add(name, {"trials": three[:2]})) == 2


# --- import


def test_a_complete_trial_is_imported_with_its_measurements(service):
    name = service.new_study(objective={"metric": "loss", "from": "best"})
    made = service.add(
        name,
        {
            "params": {"x": 0.5},
            "state": "complete",
            "measurements": [
                {"step": 1, "values": {"loss": 0.5}},
                {"step": 2, "values": {"loss": "NaN", "acc": 0.9}},
            ],
        },
    )
    assert (made["state"], made["values"], made["attempt"]) == ("complete", {"loss": 0.5}, 0)
    rows = service.run(service.manager.measurements(name, made["number"]))
    assert [(r["attempt"], r["step"], r["values"]) for r in rows["items"]] == [
        (0, 1, {"loss": 0.5}),
        (0, 2, {"loss": "NaN", "acc": 0.9}),
    ]
    assert service.study(name)["best"]["number"] == made["number"]


def test_pruned_and_failed_trials_are_imported(service):
    name = service.new_study()
    pruned = service.add(name, {"params": {"x": 0.5}, "state": "pruned", "values": {"loss": 3}})
    failed = service.add(name, {"params": {"x": 0.5}, "state": "fail"})
    assert (pruned["state"], pruned["reason"]) == ("pruned", None)
    assert (failed["state"], failed["reason"]) == ("fail", "error")
    assert service.study(name)["counts"] == {
        "waiting": 0,
        "running": 0,
        "complete": 0,
        "pruned": 1,
        "fail": 1,
    }


def test_an_import_must_be_whole(service):
    name = service.new_study(space=BRANCHES)
    whole = {"kind": "a", "a.x": 0.5}
    with pytest.raises(InvalidMetric) as caught:
        service.add(name, {"params": whole, "state": "complete"})
    assert caught.value.errors[0].path == "values.loss"
    misspelt = {"params": whole, "state": "complete", "values": {"los": 1}}
    with pytest.raises(InvalidMetric, match="nor ever reported; 'los' was") as caught:
        service.add(name, {"trials": [misspelt | {"values": {"loss": 1}}, misspelt]})
    assert caught.value.errors[0].path == "trials[1].values.loss"
    with pytest.raises(InvalidParameter) as caught:
        service.add(name, {"params": {"kind": "a"}, "state": "complete", "values": {"loss": 1}})
    assert caught.value.errors[0].path == "params.a.x"
    with pytest.raises(Invalid):
        service.add(name, {"params": whole, "state": "complete", "values": {"loss": "nan"}})
    with pytest.raises(Invalid):
        service.add(name, {"params": whole, "state": "complete", "values": {"loss": True}})
    twice = [{"step": 1, "values": {"loss": 1}}, {"step": 1, "values": {"loss": 2}}]
    doubled = {"params": whole, "state": "complete", "measurements": twice}
    with pytest.raises(Conflict):
        service.add(name, doubled)
    assert service.trials(name) == []


def test_an_import_into_a_finished_study_is_taken_and_counts(service):
    name = service.new_study(budget={"trials": 1, "target": 0.0})
    service.tell(service.ask(name)[0], 1.0)
    assert service.study(name)["state"] == "finished"
    better = service.add(
        name, {"params": {"x": 0.5}, "state": "complete", "values": {"loss": 0.5}}
    )
    study = service.study(name)
    assert (study["state"], study["best"]["number"]) == ("finished", better["number"])


# --- idempotency keys


def test_a_key_brings_the_first_answer_again_also_after_a_restart(fresh_service):
    service = fresh_service
    name = service.new_study()
    asked = service.ask(name, 2, key="ask-1")
    added = service.add(name, {"params": {"x": 0.5}}, key="add-1")
    told = service.tell(asked[0], 1.0, key="tell-1")
    for _ in range(2):
        assert service.ask(name, 2, key="ask-1") == asked
        assert service.add(name, {"params": {"x": 0.5}}, key="add-1") == added
        assert service.tell(asked[0], 1.0, key="tell-1") == told
        service.reopen()
    assert service.study(name)["counts"] == {
        "waiting": 1,
        "running": 1,
        "complete": 1,
        "pruned": 0,
        "fail": 0,
    }


def test_a_key_used_for_something_else_is_refused(service):
    name = service.new_study()
    other = service.new_study()
    key = f"key-{name}"
    service.ask(name, key=key)
    with pytest.raises(Invalid) as caught:
        service.ask(name, 2, key=key)
    assert caught.value.code == "idempotency-mismatch"
    with pytest.raises(Invalid):
        service.ask(other, key=key)
    with pytest.raises(Invalid):
        service.add(name, {"params": {"x": 0.5}}, key=key)
    assert len(service.trials(name)) == 1


def test_concurrent_twins_get_one_answer(service):
    from tuner.core.messages import Ask

    name = service.new_study()
    body = {"params": {"x": 0.5}}
    asks = service.together(*(service.manager.ask(name, Ask(), f"a{name}") for _ in range(6)))
    adds = service.together(
        *(service.manager.add_trials(name, body, f"b{name}") for _ in range(6))
    )
    assert all(answer == asks[0] for answer in asks)
    assert all(answer == adds[0] for answer in adds)
    assert len(service.trials(name)) == 2


def test_a_refused_call_leaves_its_key_free(service):
    name = service.new_study(budget={"trials": 1})
    service.ask(name)
    with pytest.raises(Conflict):
        service.add(name, {"params": {"x": 0.5}}, key=f"k{name}")
    service.change(name, budget={"trials": 2})
    assert service.add(name, {"params": {"x": 0.5}}, key=f"k{name}")["number"] == 1
