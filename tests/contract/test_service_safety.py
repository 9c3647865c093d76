"""What must hold when a server restarts, a worker is lost, a caller errs or a study grows."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from tuner.core.messages import NewWorker, WorkerLease
from tuner.core.model import parse
from tuner.errors import Conflict, Invalid
from tuner.service import adding, handing, suggest, upkeep
from tuner.service.cursors import encode
from tuner.storage import idempotency

TPE = {"name": "tpe", "n_startup": 2}


class Died(BaseException):
    """The server ended in the middle of a call."""


def test_a_reservation_that_a_crash_left_unfilled_counts_no_attempt(fresh_service, monkeypatch):
    service = fresh_service
    name = service.new_study(sampler=TPE, trial={"python": "a:b", "max_attempts": 1})

    async def die(*args):
        raise Died

    monkeypatch.setattr(handing.Handing, "_fill", die)
    with pytest.raises(Died):
        service.ask(name)
    monkeypatch.undo()
    service.reopen()
    assert service.expire(61) == 1
    trial = service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("waiting", "preempted")
    (again,) = service.ask(name)
    assert again["number"] == 0
    assert "x" in again["params"]


def test_a_paused_trial_that_is_cancelled_is_told_so(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.change(name, state="paused", now=True)
    assert service.heartbeat(trial)["reason"] == "paused"
    service.run(service.manager.stop_trial(name, 0))
    assert service.heartbeat(trial)["reason"] == "cancelled"
    ended = service.tell(trial, state="fail", reason="cancelled")
    assert (ended["state"], ended["reason"]) == ("fail", "cancelled")


# --- time


def test_running_time_outlives_the_server_without_a_budget_of_seconds_too(fresh_service):
    service = fresh_service
    name = service.new_study()
    service.ask(name, lease_seconds=86_400)
    service.clock.advance(3600)
    service.run(service.manager.sweep())
    service.clock.advance(10)
    service.reopen()
    assert service.study(name)["used"]["seconds"] == 3600


def test_a_stuck_database_expires_no_lease_that_could_not_be_renewed(service, monkeypatch):
    name = service.new_study()
    (trial,) = service.ask(name, lease_seconds=5)
    ticks = iter((100.0, 160.0))
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    service.clock.advance(60)
    assert service.run(service.manager.sweep()) == 0
    monkeypatch.undo()
    assert service.heartbeat(trial)["should_stop"] is False
    assert service.expire(6) == 1


def test_a_start_forgets_keys_of_days_ago(fresh_service):
    service = fresh_service
    name = service.new_study()
    service.ask(name, key="old")
    service.clock.advance(2 * 86_400)
    service.ask(name, key="new")
    service.reopen()

    def kept(tx):
        return [key for key in ("old", "new") if idempotency.find(tx, key)]

    assert service.run(service.manager._write(kept)) == ["new"]


# --- memory


def test_a_deleted_study_leaves_nothing_behind_in_the_server(fresh_service):
    service = fresh_service
    name = service.new_study(sampler=TPE)
    service.ask(name)
    views = service.manager._suggester._views
    assert len(views) == 1
    service.run(service.manager.delete_study(name))
    assert views == {}


def test_histories_of_studies_asked_long_ago_make_room_and_are_rebuilt(fresh_service, monkeypatch):
    service = fresh_service
    monkeypatch.setattr(suggest, "MOST_KEPT", 120)
    names = [service.new_study(sampler=TPE) for _ in range(4)]
    for _ in range(2):
        for name in names:
            (trial,) = service.ask(name)
            assert trial["sampler"]["unseen"] == 0
            service.tell(trial, 1.0)
            assert len(service.manager._suggester._views) <= 3


# --- what callers get wrong


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
def test_a_made_up_cursor_of_studies_is_refused(service, name):
    with pytest.raises(Invalid, match="cursor"):
        service.run(service.manager.list_studies(cursor=encode("studies", name)))


@pytest.mark.parametrize("sort", ["number", "value", "-value"])
@pytest.mark.parametrize("mark", [None, 1.5, 10**30, float("nan"), float("inf")])
def test_a_made_up_cursor_of_trials_is_refused(service, sort, mark):
    name = service.new_study()
    cursor = encode(f"trials:{sort}", mark, 10**30)
    with pytest.raises(Invalid, match="cursor"):
        service.trials(name, sort=sort, cursor=cursor)


def test_a_made_up_cursor_of_measurements_is_refused(service):
    name = service.new_study()
    service.ask(name)
    with pytest.raises(Invalid, match="cursor"):
        service.run(
            service.manager.measurements(name, 0, cursor=encode("measurements", 10**30, 1))
        )


def test_a_lease_names_no_more_studies_than_a_statement_takes():
    with pytest.raises(Invalid, match="studies"):
        parse(WorkerLease, {"studies": ["a"] * 10_001})


def test_a_lease_may_name_ten_thousand_studies(service):
    name = service.new_study(trial={"python": "a:b"})
    body = {"name": "w", "host": "h", "runners": ["python"], "allow": ["a:b"]}
    worker = service.run(service.manager.register_worker(parse(NewWorker, body))).body["id"]
    wanted = parse(WorkerLease, {"studies": [*(f"no-{i}" for i in range(9_999)), name]})
    (trial,) = service.run(service.manager.lease(worker, wanted)).body["trials"]
    assert trial["study"] == name


def test_choices_of_another_type_are_another_specification(service):
    body = service.body(space={"c": {"type": "categorical", "choices": [True, False]}})
    service.run(service.manager.create_study(body))
    body["space"] = {"c": {"type": "categorical", "choices": [1, 0]}}
    with pytest.raises(Conflict, match="space"):
        service.run(service.manager.create_study(body))


def test_many_trials_are_checked_outside_the_event_loop(service, monkeypatch):
    name = service.new_study()
    threads = []
    read = adding.read_body

    def recorded(data):
        threads.append(threading.current_thread())
        return read(data)

    monkeypatch.setattr(adding, "read_body", recorded)
    service.add(name, {"trials": [{"params": {"x": 0.1}}, {"params": {"x": 0.2}}]})
    assert threads != [threading.current_thread()]
    assert len(threads) == 1


# --- events


def test_followers_of_a_deleted_study_are_told_its_last_events(service):
    name = service.new_study()
    last = service.run(service.manager.last_event_id())
    service.ask(name)
    service.new_study()
    service.run(service.manager.delete_study(name))
    told = service.run(service.manager.events(name, last))
    assert [event["event"] for event in told] == ["trial.started", "study.deleted"]
