import math

import pytest

from tuner.client import operations
from tuner.client.async_client import AsyncClient
from tuner.client.operation import Answer, Operation, Repeat
from tuner.client.rest import Rest
from tuner.errors import Invalid, TunerError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("digits", "/api/v1/studies/digits"),
        ("a/b", "/api/v1/studies/a%2Fb"),
        ("ä ?#%", "/api/v1/studies/%C3%A4%20%3F%23%25"),
        ("..", "/api/v1/studies/%2E%2E"),
        (".", "/api/v1/studies/%2E"),
        ("v1.2", "/api/v1/studies/v1.2"),
    ],
)
def test_a_name_is_quoted_as_one_segment(name, path):
    assert operations.get_study(name).target == path


def test_an_empty_name_is_refused():
    with pytest.raises(Invalid, match="empty"):
        operations.get_study("")


@pytest.mark.parametrize("number", [-1, True, "3", 1.0, None])
def test_what_is_no_trial_number_is_refused(number):
    with pytest.raises(Invalid, match="trial number"):
        operations.get_trial("digits", number)


def test_absent_query_values_are_left_out_and_lists_repeated():
    listed = operations.list_trials("s", state=["complete", "fail"], limit=5)
    assert listed.target == "/api/v1/studies/s/trials?state=complete&state=fail&limit=5"
    assert operations.list_trials("s").target == "/api/v1/studies/s/trials"
    assert operations.create_study({}, dry_run=True).target == "/api/v1/studies?dry_run=true"


def test_bodies_leave_out_what_was_not_given():
    assert operations.ask("s").body == {"count": 1, "lease_seconds": 60}
    assert operations.tell("s", 3, "L").body == {"lease": "L", "state": "complete"}
    assert operations.change_study("s", budget={"trials": 5}).body == {"budget": {"trials": 5}}
    assert operations.add_trials("s", [{"params": {}}]).body == {"trials": [{"params": {}}]}
    assert operations.release("s", 1, "L").body == {"lease": "L", "reason": "preempted"}


def test_metric_values_that_are_not_finite_travel_as_strings():
    values = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5}
    encoded = {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.5}
    assert operations.tell("s", 0, "L", values=values).body["values"] == encoded
    row = operations.report("s", 0, "L", [{"step": 1, "values": values}]).body["measurements"][0]
    assert row == {"step": 1, "values": encoded}


def test_a_body_that_json_cannot_hold_is_refused_with_its_path():
    with pytest.raises(Invalid, match=r"params\.x"):
        operations.add_trials("s", {"params": {"x": math.nan}}).encode()
    with pytest.raises(Invalid, match=r"params\.x.*object"):
        operations.add_trials("s", {"params": {"x": object()}}).encode()


KEYED = {
    "create_study": ({},),
    "ask": ("s",),
    "add_trials": ("s", {}),
    "tell": ("s", 0, "L"),
    "lease_trials": ("w", 1, {}),
    "register_worker": ({},),
}
SAFE = {
    "report": ("s", 0, "L"),
    "heartbeat": ("s", 0, "L"),
    "release": ("s", 0, "L"),
    "get_study": ("s",),
    "worker_heartbeat": ("w", []),
}


@pytest.mark.parametrize("name", KEYED)
def test_calls_that_create_something_carry_a_key(name):
    assert getattr(operations, name)(*KEYED[name]).repeat is Repeat.KEYED


@pytest.mark.parametrize("name", SAFE)
def test_calls_that_are_idempotent_by_themselves_carry_none(name):
    assert getattr(operations, name)(*SAFE[name]).idempotent


def test_an_answer_that_is_not_json_names_address_and_status():
    with pytest.raises(TunerError, match=r"http://h/x answered 200 .*not JSON.*text/html"):
        Answer(200, "text/html", b"<html>", "http://h/x").json()


def test_both_clients_have_every_operation():
    names = [
        name
        for name, value in vars(operations).items()
        if callable(value)
        and getattr(value, "__module__", "") == operations.__name__
        and not name.startswith("_")
        and name not in ("encode_values", "events")
    ]
    assert len(names) > 30
    for name in names:
        assert name in vars(Rest), name
        assert name in vars(AsyncClient), name


def test_reports_and_exports_are_read_by_their_kind():
    def read(operation: Operation, content: bytes):
        return operation.parse(Answer(200, "", content, ""))

    assert read(operations.study_report("s"), b'{"a": 1}') == {"a": 1}
    assert read(operations.study_report("s", "html"), b"<p>") == "<p>"
    assert read(operations.export("s"), b"{}\n") == "{}\n"
    assert read(operations.export("s", "parquet"), b"PAR1") == b"PAR1"
