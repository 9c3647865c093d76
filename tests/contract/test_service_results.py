"""Best, Pareto front, sorted lists, documents and events, on both databases."""

from __future__ import annotations

import asyncio
import json

import pytest

from tuner.analysis.entry import _rows
from tuner.errors import Conflict, Invalid, InvalidMetric, NoResultYet
from tuner.service.documents import gather

VALUES = [0.5, 0.2, "NaN", 0.9, 0.2, "Infinity", -1.0]


def complete(service, name, *values, **more):
    """Import complete trials with those losses."""
    trials = [
        {"params": {"x": 0.5}, "state": "complete", "values": {"loss": value, **more}}
        for value in values
    ]
    return service.add(name, {"trials": trials})


def test_the_best_trial_is_finite_and_the_lowest_number_among_equals(service):
    name = service.new_study()
    best = service.manager.best
    with pytest.raises(NoResultYet):
        service.run(best(name))
    complete(service, name, "NaN", "-Infinity")
    with pytest.raises(NoResultYet):
        service.run(best(name))
    first, second, third = service.ask(name, 3)
    service.tell(third, 0.2)
    assert service.run(best(name))["number"] == third["number"]
    service.tell(first, 0.2)
    assert service.run(best(name))["number"] == first["number"]
    service.tell(second, 0.2)
    assert service.run(best(name))["number"] == first["number"]
    assert service.study(name)["best"] == service.run(best(name))


def test_maximizing_turns_the_best_round(service):
    name = service.new_study(objective=["loss", "maximize"])
    complete(service, name, *VALUES)
    assert service.run(service.manager.best(name))["values"] == {"loss": 0.9}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_trial_without_a_finite_end_is_complete_and_diverged(service, value):
    name = service.new_study()
    (trial,) = service.ask(name)
    told = service.tell(trial, value)
    assert (told["state"], told["diverged"], told["values"]) == ("complete", True, {"loss": value})
    assert service.study(name)["counts"]["complete"] == 1


def test_a_missing_objective_names_the_metric_that_was_reported_instead(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.report(trial, (1, {"los": 0.5, "accuracy": 0.9}))
    with pytest.raises(InvalidMetric, match="nor ever reported; 'los' was"):
        service.tell(trial)
    rows = [{"step": 1, "values": {"los": 0.5}}]
    imported = {"params": {"x": 0.5}, "state": "complete", "measurements": rows}
    with pytest.raises(InvalidMetric, match="nor ever reported; 'los' was"):
        service.add(name, imported)


def test_a_reported_zero_has_no_sign(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.report(trial, (1, {"loss": -0.0}), (2, {"loss": -0.0}))
    service.report(trial, (2, {"loss": 0.0}))
    rows = service.run(service.manager.measurements(name, trial["number"]))["items"]
    assert [str(row["values"]["loss"]) for row in rows] == ["0.0", "0.0"]


def test_infeasible_trials_are_never_the_best(service):
    constraints = [
        {"metric": "size", "at_most": 2.0},
        {"metric": "acc", "at_least": 0.5, "at_most": 0.9},
    ]
    name = service.new_study(constraints=constraints)
    for size, acc in ((3, 0.6), (2, 0.4), (2, 1.0), ("NaN", 0.6)):
        complete(service, name, 0.0, size=size, acc=acc)
    complete(service, name, 0.0, size=1)
    good = complete(service, name, 1.0, size=2, acc=0.9)[0]
    assert service.run(service.manager.best(name))["number"] == good["number"]


def test_the_front_holds_what_nothing_dominates(service):
    objectives = [{"metric": "a"}, {"metric": "b", "direction": "maximize"}]
    body = service.body(objectives=objectives)
    del body["objective"]
    service.run(service.manager.create_study(body))
    name = body["name"]
    points = [(1, 1), (2, 2), (2, 1), (1, 1), (0, 0), (3, "NaN"), (0.5, "Infinity")]
    trials = [
        {"params": {"x": 0.5}, "state": "complete", "values": {"a": a, "b": b}} for a, b in points
    ]
    service.add(name, {"trials": trials})
    front = service.run(service.manager.pareto(name))
    assert [t["number"] for t in front["items"]] == [0, 1, 3, 4]
    with pytest.raises(Conflict, match=r"Pareto.*study\.pareto"):
        service.run(service.manager.best(name))
    with pytest.raises(Invalid, match="sort"):
        service.trials(name, sort="value")
    assert service.study(name)["best"] is None


def test_the_front_of_one_objective_is_its_best_trials(service):
    name = service.new_study()
    complete(service, name, *VALUES[:5])
    front = service.run(service.manager.pareto(name))
    assert [t["number"] for t in front["items"]] == [1, 4]


# --- lists


def _rank(value):
    return value if isinstance(value, float) else None


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("sort", ["number", "-number", "value", "-value"])
def test_lists_are_sorted_and_paged_exactly(service, direction, sort):
    name = service.new_study(objective=["loss", direction])
    complete(service, name, *VALUES)
    service.add(name, {"params": {"x": 0.1}, "state": "fail"})
    service.ask(name, 2)
    numbers = range(len(VALUES) + 3)
    expected = list(numbers) if sort == "number" else list(reversed(numbers))
    if sort.endswith("value"):
        ranked = [i for i, value in enumerate(VALUES) if _rank(value) is not None]
        sign = -1 if sort.startswith("-") else 1
        ranked.sort(key=lambda i: (sign * VALUES[i], i))
        expected = ranked + [i for i in numbers if i not in ranked]
    for size in (1, 2, 3, 7, 9, 10, 11):
        found, cursor = [], None
        while True:
            page = service.run(
                service.manager.list_trials(name, sort=sort, cursor=cursor, limit=size)
            )
            found += [t["number"] for t in page["items"]]
            cursor = page["next_cursor"]
            assert (cursor is None) == (len(found) == len(expected))
            if cursor is None:
                break
        assert found == expected


def test_lists_take_states_and_refuse_what_they_do_not_know(service):
    name = service.new_study()
    complete(service, name, 1.0, 2.0)
    service.ask(name)
    found = service.trials(name, states=["complete"], sort="-value")
    assert [t["number"] for t in found] == [1, 0]
    assert [t["number"] for t in service.trials(name, states=["running", "waiting"])] == [2]
    for query, path in (
        ({"states": ["compleet"]}, "state"),
        ({"sort": "values"}, "sort"),
        ({"cursor": "x"}, "cursor"),
    ):
        with pytest.raises(Invalid) as caught:
            service.trials(name, **query)
        assert caught.value.errors[0].path == path
    page = service.run(service.manager.list_trials(name, limit=1))
    with pytest.raises(Invalid, match="cursor"):
        service.trials(name, sort="value", cursor=page["next_cursor"])


# --- documents


def test_export_and_report_hold_the_trials_and_follow_changes(fresh_service):
    service = fresh_service
    name = service.new_study()
    complete(service, name, *VALUES)
    export = service.run(service.manager.export(name))
    lines = [json.loads(line) for line in export.body.splitlines()]
    listed = service.trials(name)
    assert [line["number"] for line in lines] == [t["number"] for t in listed]
    assert [line["values"] for line in lines] == [t["values"] for t in listed]
    assert lines[2]["values"] == {"loss": "NaN"}
    service.clock.advance(1)
    complete(service, name, 3.0)
    again = service.run(service.manager.export(name))
    assert len(again.body.splitlines()) == len(VALUES) + 1
    report = json.loads(service.run(service.manager.study_report(name)).body)
    assert isinstance(report, dict)
    with pytest.raises(Invalid, match="format"):
        service.run(service.manager.export(name, "xml"))


@pytest.fixture
def renderings(service, monkeypatch):
    """What the pool was asked to render."""
    kinds = []
    run = service.manager._pool.run

    async def counted(target, data):
        kinds.append((data["kind"], data["format"]))
        return await run(target, data)

    monkeypatch.setattr(service.manager._pool, "run", counted)
    return kinds


def test_many_viewers_of_a_running_study_cost_one_rendering(service, renderings, monkeypatch):
    monkeypatch.setattr("tuner.service.rendering.FRESH_S", 3600.0)
    name = service.new_study()
    (trial,) = service.ask(name)
    documents = service.together(*(service.manager.export(name) for _ in range(4)))
    assert len({document.body for document in documents}) == 1
    service.report(trial, (1, {"loss": 0.5}))
    assert service.run(service.manager.export(name)) == documents[0]
    assert renderings == [("export", "jsonl")]
    service.clock.advance(1)
    service.tell(trial, 0.5)
    lines = service.run(service.manager.export(name)).body.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["complete"]
    assert len(renderings) == 2


def test_a_rendering_of_a_running_study_is_old_after_a_moment(service, renderings, monkeypatch):
    monkeypatch.setattr("tuner.service.rendering.FRESH_S", 0.0)
    name = service.new_study()
    (trial,) = service.ask(name)
    for _ in range(2):
        service.run(service.manager.export(name))
    assert len(renderings) == 2
    service.clock.advance(1)
    service.tell(trial, 0.5)
    for _ in range(2):
        service.run(service.manager.export(name))
    assert len(renderings) == 3, "one in which nothing runs is kept until it changes"


def test_one_who_goes_away_does_not_take_the_rendering_from_the_others(service, renderings):
    name = service.new_study()
    (trial,) = service.ask(name)

    async def watch():
        first = asyncio.create_task(service.manager.export(name))
        second = asyncio.create_task(service.manager.export(name))
        while not renderings:
            await asyncio.sleep(0)
        first.cancel()
        return await second

    assert len(service.run(watch()).body.splitlines()) == 1
    assert len(renderings) == 1
    service.tell(trial, 1.0)


def test_a_report_is_made_from_every_measurement_exactly(service):
    name = service.new_study()
    first, second = service.ask(name, 2)
    service.report(first, (1, {"loss": 0.1, "acc": "NaN"}), (2, {"loss": "-Infinity"}))
    service.release(first)
    (again,) = service.ask(name)
    service.report(again, (2, {"loss": 0.3}))
    service.report(second, (1, {"loss": 1e-300}))

    def rows(tx):
        return list(_rows(gather(tx, name, "report")["measurements"]))

    found = [tuple(row.values()) for row in service.run(service.manager._read(rows))]
    assert sorted(found, key=str) == [
        (0, 1, 1, "acc", "NaN"),
        (0, 1, 1, "loss", 0.1),
        (0, 1, 2, "loss", "-Infinity"),
        (0, 2, 2, "loss", 0.3),
        (1, 1, 1, "loss", 1e-300),
    ]


def test_a_large_study_is_read_whole_only_in_what_decides(service):
    name = service.new_study(budget={"trials": 400})
    trials = [t for _ in range(2) for t in service.ask(name, 200)]
    for trial in trials:
        service.report(trial, (1, {"loss": 0.5, "grad_norm": 1.0}))
        service.tell(trial, float(trial["number"] % 97))

    def rows(kind):
        def read(tx):
            return list(_rows(gather(tx, name, kind)["measurements"]))

        return service.run(service.manager._read(read))

    found = rows("report")
    assert rows("advice") == found
    assert {r["number"] for r in found if r["metric"] == "loss"} == set(range(400))
    detailed = {r["number"] for r in found if r["metric"] == "grad_norm"}
    assert {0, 97, 194, 291, 388} <= detailed  # the best ones
    assert len(detailed) <= 300
    assert {r["metric"] for r in rows("importance")} == {"loss"}


# --- events


def test_events_grow_and_are_read_on_from_any_of_them(service):
    name = service.new_study(budget={"trials": 2})
    first, second = service.ask(name, 2)
    service.tell(first, 1.0)
    service.tell(second, state="fail")
    events = service.run(service.manager.events(name, 0, 1000))
    assert [(e["event"], e["number"]) for e in events] == [
        ("study.created", None),
        ("trial.started", 0),
        ("trial.started", 1),
        ("trial.complete", 0),
        ("trial.fail", 1),
        ("study.finished", None),
    ]
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids))
    for i, start in enumerate(ids):
        rest = service.run(service.manager.events(name, start, 1000))
        assert rest == events[i + 1 :]
    assert service.run(service.manager.events(name, ids[0], 2)) == events[1:3]
    assert service.run(service.manager.events(name)) == []
    assert service.run(service.manager.last_event_id()) == ids[-1]


def test_waiting_for_events_ends_with_the_next_change(service):
    name = service.new_study()

    async def wait_and_ask():
        import asyncio

        from tuner.core.messages import Ask

        waiting = asyncio.create_task(service.manager.wait_events(60))
        await asyncio.sleep(0)
        await service.manager.ask(name, Ask())
        await waiting

    service.run(wait_and_ask())


def test_health_and_counts_are_told(fresh_service):
    service = fresh_service
    name = service.new_study()
    service.ask(name, 2, lease_seconds=10)
    service.expire(11)
    ready = service.run(service.manager.ready())
    assert (ready["ready"], ready["schema"]) == (True, ready["expected_schema"])
    metrics = service.run(service.manager.metrics())
    assert metrics["trials"] == {
        "waiting": 2,
        "running": 0,
        "complete": 0,
        "pruned": 0,
        "fail": 0,
    }
    assert metrics["studies"] == {"active": 1}
    assert metrics["lease_expiries"] == 2
