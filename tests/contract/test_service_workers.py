"""Workers: leasing over studies, heartbeats, draining; on both databases."""

from __future__ import annotations

import pytest

from tuner.core.messages import NewWorker, WorkerHeartbeat, WorkerLease
from tuner.core.model import parse
from tuner.errors import Invalid, WorkerNotFound

PYTHON = {"python": "pkg.module:train"}


class Worker:
    def __init__(self, service, **fields):
        self.service = service
        body = {"name": "w", "host": "h", "runners": ["task", "python", "command"], **fields}
        answer = service.run(service.manager.register_worker(parse(NewWorker, body)))
        assert answer.status == 201
        self.id = answer.body["id"]

    def lease(self, count=1, studies=None, key=None, exclude=(), **free):
        body = {"count": count, "free": {"gpus": 0, "cpus": 64, **free}, "studies": studies}
        body["exclude"] = list(exclude)
        answer = self.service.run(
            self.service.manager.lease(self.id, parse(WorkerLease, body), key)
        )
        return answer.body["trials"]

    def heartbeat(self, *trials, leaving=False):
        leases = tuple(trial["lease"] for trial in trials)
        body = WorkerHeartbeat(leases=leases, leaving=leaving)
        return self.service.run(self.service.manager.worker_heartbeat(self.id, body))

    def view(self):
        items = self.service.run(self.service.manager.list_workers())["items"]
        return next(item for item in items if item["id"] == self.id)


def places(trials):
    return [(trial["study"], trial["number"]) for trial in trials]


def test_leases_go_round_the_studies(service):
    names = [service.new_study(trial=PYTHON, budget={"trials": 3}) for _ in range(3)]
    worker = Worker(service, allow=["*"])
    found = worker.lease(4, names)
    assert sorted(places(found))[:3] == sorted((name, 0) for name in names) or len(found) == 4
    counts = [service.study(name)["counts"]["running"] for name in names]
    assert sorted(counts) == [1, 1, 2]
    service.clock.advance(1)
    after = worker.lease(2, names)
    assert {trial["study"] for trial in after} <= set(names)
    assert max(service.study(name)["counts"]["running"] for name in names) == 2
    assert len(worker.lease(20, names)) == 3
    assert worker.lease(1, names) == []
    assert all(trial["worker_id"] == worker.id for trial in found)


def test_the_study_served_longest_ago_comes_first(service):
    first, second = (service.new_study(trial=PYTHON) for _ in range(2))
    worker = Worker(service, allow=["*"])
    seen = []
    for _ in range(4):
        service.clock.advance(1)
        seen.append(worker.lease(1, [first, second])[0]["study"])
    assert seen == [first, second, first, second]


def test_only_active_studies_with_a_runner_are_served(service):
    plain = service.new_study()
    paused = service.new_study(trial=PYTHON)
    service.change(paused, state="paused")
    open_ = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    assert places(worker.lease(1, [plain, paused, open_])) == [(open_, 0)]
    assert worker.lease(1, [plain, paused]) == []
    assert worker.lease(1, []) == []


def test_an_excluded_study_is_not_served_however_many_its_trials(service):
    names = [service.new_study(trial=PYTHON) for _ in range(3)]
    worker = Worker(service, allow=["*"])
    first = worker.lease(6, names, exclude=[names[1], "no-such-study"])
    assert {trial["study"] for trial in first} == {names[0], names[2]}
    assert len(first) == 6
    assert worker.lease(1, names, exclude=names) == []
    assert worker.lease(1, [names[1]], exclude=[names[1]]) == []
    assert places(worker.lease(1, [names[1]])) == [(names[1], 0)]


def test_a_lease_without_names_serves_all_but_the_excluded(fresh_service):
    service = fresh_service
    bad, good = (service.new_study(trial=PYTHON) for _ in range(2))
    worker = Worker(service, allow=["*"])
    assert {trial["study"] for trial in worker.lease(4, exclude=[bad])} == {good}
    assert {trial["study"] for trial in worker.lease(4)} == {bad, good}


def test_what_one_worker_excludes_is_served_to_another(service):
    name = service.new_study(trial=PYTHON)
    here, there = (Worker(service, allow=["*"]) for _ in range(2))
    (trial,) = here.lease(1, [name])
    service.release(trial, message="there is no cars.csv")
    assert here.lease(1, [name], exclude=[name]) == []
    (again,) = there.lease(1, [name])
    assert (again["number"], again["attempt"]) == (0, 2)


def test_a_worker_shows_what_it_excluded_last(service):
    name, other = (service.new_study(trial=PYTHON) for _ in range(2))
    worker = Worker(service, allow=["*"], labels={"rack": "7"})
    worker.lease(1, [name], exclude=[name, other])
    assert worker.view()["labels"] == {"rack": "7", "left_alone": f"{name},{other}"}
    worker.lease(1, [name])
    assert worker.view()["labels"] == {"rack": "7"}


def test_a_study_that_every_live_worker_leaves_alone_says_why(fresh_service):
    service = fresh_service
    name = service.new_study(trial=PYTHON)
    first, second = (Worker(service, allow=["*"]) for _ in range(2))
    (trial,) = first.lease(1, [name])
    service.release(trial, message="there is no\n cars.csv")
    first.lease(1, exclude=[name])
    assert service.study(name)["state_reason"] is None, "the second may still run it"
    second.lease(1, exclude=["another", name])
    said = "the live workers that may run it leave it alone for now: there is no cars.csv"
    assert service.study(name)["state_reason"] == said
    second.lease(1, exclude=["another"])
    assert service.study(name)["state_reason"] is None


@pytest.mark.parametrize("exclude", [["a"] * 10_001, [""], ["a" * 129], [7], "a", None])
def test_what_is_no_list_of_study_names_is_not_excluded(exclude):
    with pytest.raises(Invalid, match="exclude"):
        parse(WorkerLease, {"exclude": exclude})


def test_ten_thousand_studies_may_be_named_and_as_many_excluded(service):
    name = service.new_study(trial=PYTHON)
    others = [f"no-{i}" for i in range(10_000)]
    worker = Worker(service, allow=["*"])
    assert places(worker.lease(1, [*others[1:], name], exclude=others)) == [(name, 0)]


@pytest.mark.parametrize(
    ("trial", "allow", "fits"),
    [
        (PYTHON, ["pkg.module:train"], True),
        (PYTHON, ["pkg.*:train"], True),
        (PYTHON, ["other:train"], False),
        (PYTHON, [], False),
        ({"command": ["run", "--x", "{x}"]}, ["cmd:run --x {x}"], True),
        ({"command": ["run", "--x", "{x}"]}, ["cmd:run --x *"], True),
        ({"command": ["run", "--x", "{x}"]}, ["cmd:run *"], False),
        ({"command": ["run", "--x", "{x}"]}, ["run --x {x}"], False),
    ],
)
def test_only_what_the_worker_allows_is_leased(service, trial, allow, fits):
    name = service.new_study(trial=trial)
    worker = Worker(service, allow=allow)
    assert len(worker.lease(1, [name])) == int(fits)


def test_a_built_in_task_needs_no_permission_but_a_runner(service):
    task = {"task": {"dataset": "digits", "model": "mlp", "epochs": 1}}
    name = service.new_study(
        trial=task,
        objective=["val_loss", "minimize"],
        space={"optimizers": ["sgd"]},
    )
    assert Worker(service, runners=["python"]).lease(1, [name]) == []
    assert len(Worker(service, runners=["task"]).lease(1, [name])) == 1


OWN_TASK = {
    "task": {"dataset": "/data/cars.csv", "model": "nets:build", "loss": "nets:loss", "epochs": 1}
}


@pytest.mark.parametrize(
    ("allow", "fits"),
    [
        ([], False),
        (["nets:build", "nets:loss"], False),
        (["file:/data/cars.csv", "nets:build"], False),
        (["file:/data/*.csv", "nets:*"], True),
        (["*"], True),
    ],
)
def test_a_task_with_code_of_the_users_is_offered_to_whom_allows_all_of_it(service, allow, fits):
    name = service.new_study(
        trial=OWN_TASK, objective=["val_loss", "minimize"], space={"optimizers": ["sgd"]}
    )
    assert len(Worker(service, allow=allow).lease(1, [name])) == int(fits)


def test_a_task_that_needs_rights_names_them_while_nobody_has_them(fresh_service):
    service = fresh_service
    name = service.new_study(
        trial=OWN_TASK, objective=["val_loss", "minimize"], space={"optimizers": ["sgd"]}
    )
    Worker(service, allow=["nets:build"])
    said = "--allow nets:build --allow nets:loss --allow file:/data/cars.csv"
    assert said in service.study(name)["state_reason"]
    Worker(service, allow=["nets:*", "file:/data/cars.csv"])
    assert service.study(name)["state_reason"] is None


SOAP = {"task": {"dataset": "digits", "model": "mlp", "epochs": 1}}
GROUPED = {"task": {**SOAP["task"], "groups": [{"match": "4", "optimizer": "adan"}]}}


@pytest.mark.parametrize(
    ("trial", "optimizers", "labels", "fits"),
    [
        (SOAP, ["soap", "adam"], {}, False),
        (SOAP, ["soap", "adam"], {"extras": ""}, False),
        (SOAP, ["soap", "adam"], {"extras": "optimizers"}, True),
        (SOAP, ["soap", "adam"], {"extras": "others,optimizers"}, True),
        (SOAP, ["adam"], {}, True),
        (GROUPED, ["sgd"], {}, False),
        (GROUPED, ["sgd"], {"extras": "optimizers"}, True),
        (PYTHON, ["soap"], {}, True),
    ],
)
def test_a_task_goes_only_to_workers_that_have_its_optimizers_extras(
    service, trial, optimizers, labels, fits
):
    name = service.new_study(
        trial=trial, objective=["val_loss", "minimize"], space={"optimizers": optimizers}
    )
    assert len(Worker(service, allow=["*"], labels=labels).lease(1, [name])) == int(fits)


def test_the_state_reason_says_which_extra_no_live_worker_has(service):
    name = service.new_study(
        trial=SOAP, objective=["val_loss", "minimize"], space={"optimizers": ["soap", "adan"]}
    )
    assert "start one with" in service.study(name)["state_reason"]
    Worker(service)
    assert service.study(name)["state_reason"] == (
        "no live worker has the extra optimizers (soap, adan); install it there with:"
        " pip install 'tuner[optimizers]'"
    )
    Worker(service, labels={"extras": "optimizers"})
    assert service.study(name)["state_reason"] is None


def test_leases_fit_what_is_free(service):
    half = service.new_study(trial={**PYTHON, "resources": {"gpus": 0.5, "cpus": 1}})
    big = service.new_study(trial={**PYTHON, "resources": {"gpus": 2, "cpus": 4}})
    worker = Worker(service, allow=["*"])
    assert len(worker.lease(9, [half], gpus=1.0)) == 2
    assert worker.lease(9, [big], gpus=1.0) == []
    assert len(worker.lease(9, [big], gpus=4.0, cpus=6)) == 1
    assert worker.lease(9, [half], gpus=0.25) == []
    mixed = worker.lease(9, [half, big], gpus=2.5)
    assert sum(t["resources"]["gpus"] for t in mixed) <= 2.5


def test_a_lease_is_repeated_by_its_key(service):
    name = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    first = worker.lease(2, [name], key=f"k-{name}")
    assert worker.lease(2, [name], key=f"k-{name}") == first
    assert service.study(name)["counts"]["running"] == 2


def test_a_heartbeat_renews_all_leases_and_names_those_to_stop(service):
    name = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    first, second, third = worker.lease(3, [name])
    service.clock.advance(50)
    assert worker.heartbeat(first, second)["stop"] == []
    service.run(service.manager.stop_trial(name, second["number"]))
    assert service.expire(20) == 1
    answer = worker.heartbeat(first, second, third)
    assert answer["stop"] == [
        {"study": name, "number": 1, "lease": second["lease"], "reason": "cancelled"},
        {"study": name, "number": 2, "lease": third["lease"], "reason": "lease-lost"},
    ]
    made_up = worker.heartbeat({"lease": "nobody-gave-this"})["stop"]
    assert [item["reason"] for item in made_up] == ["lease-lost"]


def test_a_heartbeat_does_not_renew_what_another_now_holds(service):
    name = service.new_study(trial=PYTHON)
    worker, other = Worker(service, allow=["*"]), Worker(service, allow=["*"])
    (old,) = worker.lease(1, [name])
    service.expire()
    (new,) = other.lease(1, [name])
    service.clock.advance(50)
    assert worker.heartbeat(old)["stop"][0]["reason"] == "lease-lost"
    assert service.expire(20) == 1
    assert other.heartbeat(new)["stop"][0]["reason"] == "lease-lost"


def test_an_unknown_worker_registers_again_and_its_leases_stay_valid(service):
    name = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    (trial,) = worker.lease(1, [name])
    worker.id = "forgotten"
    service.clock.advance(50)
    with pytest.raises(WorkerNotFound):
        worker.heartbeat(trial)
    with pytest.raises(WorkerNotFound):
        worker.lease(1)
    assert service.expire(50) == 0, "the heartbeat renewed the lease nevertheless"
    service.tell(trial, 1.0)


def test_a_draining_worker_gets_nothing_more_and_may_finish(service):
    name = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    (trial,) = worker.lease(1, [name])
    assert service.run(service.manager.drain_worker(worker.id))["state"] == "draining"
    assert worker.lease(1, [name]) == []
    assert worker.heartbeat(trial)["draining"] is True
    assert worker.view()["running"] == [{"study": name, "number": 0}]
    service.tell(trial, 1.0)
    assert worker.view()["running"] == []
    with pytest.raises(WorkerNotFound):
        service.run(service.manager.drain_worker("nobody"))


def test_a_worker_not_heard_of_is_lost(service):
    worker = Worker(service, labels={"rack": "7"})
    assert (worker.view()["state"], worker.view()["labels"]) == ("live", {"rack": "7"})
    service.clock.advance(61)
    assert worker.view()["state"] == "lost"
    worker.heartbeat()
    assert worker.view()["state"] == "live"


def test_a_worker_that_leaves_is_forgotten_at_once(fresh_service):
    service = fresh_service
    name = service.new_study(trial=PYTHON)
    worker = Worker(service, allow=["*"])
    (trial,) = worker.lease(1, [name])
    assert service.study(name)["state_reason"] is None
    service.clock.advance(50)
    for _ in range(2):  # a repeat changes nothing
        assert worker.heartbeat(trial, leaving=True)["draining"] is True
    assert service.run(service.manager.list_workers())["items"] == []
    assert service.expire(50) == 0, "the lease was renewed: what it still sends is taken"
    service.tell(trial, 1.0)
    assert "tuner worker start" in service.study(name)["state_reason"]


def test_a_study_that_no_live_worker_may_run_says_so(fresh_service):
    service = fresh_service
    name = service.new_study(trial=PYTHON)
    assert "tuner worker start" in service.study(name)["state_reason"]
    Worker(service, allow=[])
    assert "--allow" in service.study(name)["state_reason"]
    Worker(service, allow=["pkg.module:train"])
    assert service.study(name)["state_reason"] is None


def test_sixteen_concurrent_leases_are_distinct(service):
    names = [service.new_study(trial=PYTHON, budget={"trials": 10}) for _ in range(2)]
    workers = [Worker(service, allow=["*"]) for _ in range(4)]
    body = parse(WorkerLease, {"count": 2, "free": {"cpus": 99}, "studies": names})
    answers = service.together(
        *(service.manager.lease(workers[i % 4].id, body) for i in range(16))
    )
    found = [place for answer in answers for place in places(answer.body["trials"])]
    assert sorted(found) == sorted((name, n) for name in names for n in range(10))
