"""Numbers and text: what cannot be kept exactly is refused, the rest comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

REFUSED = {
    "nothing": "",
    "not json": "{",
    "two values": "{} {}",
    "byte order mark": "\ufeff{}",
    "single quotes": "{'count': 1}",
    "a comment": "{/* */}",
    "a trailing comma": '{"count": 1,}',
    "a list": "[]",
    "a string": '"ask"',
    "null": "null",
    "NaN": '{"count": NaN}',
    "infinity": '{"lease_seconds": Infinity}',
    "overflow": '{"lease_seconds": 1e999}',
    "negative overflow": '{"lease_seconds": -1e999}',
    "duplicate keys": '{"count": 1, "count": 2}',
    "duplicate escaped keys": '{"count": 1, "c\\u006funt": 2}',
    "true as int": '{"count": true}',
    "string as int": '{"count": "1"}',
    "float as int": '{"count": 1.0}',
    "half": '{"count": 1.5}',
    "null as int": '{"count": null}',
    "2**63": '{"count": 9223372036854775808}',
    "400 digits": '{"count": ' + "9" * 400 + "}",
    "5000 digits": '{"count": ' + "9" * 5000 + "}",
    "NUL": '{"worker_id": "a\\u0000b"}',
    "lone surrogate": '{"worker_id": "\\ud800"}',
    "surrogate in a key": '{"\\udfff": 1}',
    "raw control character": '{"worker_id": "a\nb"}',
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "deep enough to parse": '{"a":' + "[" * 100 + "]" * 100 + "}",
    "unknown key": '{"cuont": 1}',
    "below range": '{"count": 0}',
    "above range": '{"count": 1001}',
    "lease too long": '{"lease_seconds": 86401}',
    "empty label": '{"worker_id": ""}',
    "long label": '{"worker_id": "' + "x" * 257 + '"}',
}


@pytest.fixture(scope="module")
def study(api: Any) -> str:
    return api.new_study()


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_is_not_strict_json_is_refused(
    api: Any, problem: Any, study: str, name: str
) -> None:
    text = REFUSED[name]
    if name == "nothing":
        answer = api.post_text("/studies", text)
    else:
        answer = api.post_text(f"/studies/{study}/ask", text)
    body = problem(answer, 422)
    assert len(answer.content) < 4_000
    assert body["code"] in ("invalid", "unknown-name")


@pytest.mark.parametrize(
    "body", [b"\xff", b'{"worker_id": "\xed\xa0\x80"}', b'{"a": "\xc3"}', b"\x00"]
)
def test_a_body_that_is_not_utf_8_is_refused(
    api: Any, problem: Any, study: str, body: bytes
) -> None:
    problem(api.post_text(f"/studies/{study}/ask", body), 422)


def test_an_unknown_key_names_the_nearest(api: Any, problem: Any, study: str) -> None:
    body = problem(api.post(f"/studies/{study}/ask", {"cuont": 1}), 422)
    assert body["errors"] == [
        {
            "path": "cuont",
            "found": "cuont",
            "allowed": ["count", "worker_id", "lease_seconds"],
            "nearest": "count",
        }
    ]


@pytest.mark.parametrize(
    "number",
    ["0.1", "-0.0", "5e-324", "1.7976931348623157e308", "1e-05", "0.30000000000000004", "1e22"],
)
def test_a_metric_comes_back_to_the_bit(api: Any, study: str, number: str) -> None:
    trial = api.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}"
    text = f'{{"lease": "{trial["lease"]}", "state": "complete", "values": {{"loss": {number}}}}}'
    assert api.post_text(f"{path}/tell", text).status_code == 200
    value = api.get(path).json()["values"]["loss"]
    assert float(value).hex() == float(number).hex()


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_metric_that_is_not_finite_travels_as_a_string(api: Any, study: str, word: str) -> None:
    trial = api.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}"
    report = {"lease": trial["lease"], "measurements": [{"step": 1, "values": {"loss": word}}]}
    assert api.post(f"{path}/report", report).status_code == 200
    assert api.get(f"{path}/measurements").json()["items"] == [
        {"attempt": 1, "step": 1, "values": {"loss": word}}
    ]
    told = api.post(f"{path}/tell", {"lease": trial["lease"], "state": "complete"}).json()
    assert told["values"] == {"loss": word}
    assert told["diverged"] is True


@pytest.mark.parametrize("value", ["nan", "inf", "1", True, None, [1], {}, "∞"])
def test_a_metric_of_another_kind_is_refused(
    api: Any, problem: Any, study: str, value: Any
) -> None:
    trial = api.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}/report"
    body = {"lease": trial["lease"], "measurements": [{"step": 1, "values": {"loss": value}}]}
    found = problem(api.post(path, body), 422)
    assert found["errors"][0]["path"] == "measurements[0].values.loss"


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63 - 1])
def test_an_integer_that_no_float_holds_is_refused_and_not_rounded(
    api: Any, problem: Any, study: str, value: int
) -> None:
    trial = api.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}"
    body = {"lease": trial["lease"], "measurements": [{"step": 1, "values": {"loss": value}}]}
    found = problem(api.post(f"{path}/report", body), 422)
    assert found["errors"][0]["path"] == "measurements[0].values.loss"
    assert "as a float" in found["detail"]
    told = {"lease": trial["lease"], "state": "complete", "values": {"loss": value}}
    assert problem(api.post(f"{path}/tell", told), 422)["errors"][0]["path"] == "values.loss"
    exact = {**told, "values": {"loss": 2**60}}
    assert api.post(f"{path}/tell", exact).json()["values"] == {"loss": 2.0**60}


@pytest.mark.parametrize("step", [-1, 2**53 + 1, 1.0, "1", True])
def test_a_step_is_a_whole_number_from_zero(api: Any, problem: Any, study: str, step: Any) -> None:
    trial = api.ask(study)
    path = f"/studies/{study}/trials/{trial['number']}/report"
    body = {"lease": trial["lease"], "measurements": [{"step": step, "values": {"loss": 1}}]}
    problem(api.post(path, body), 422)


@pytest.mark.parametrize("text", ["é", "e\u0301", "🙂", "\u202etxt", "<script>", "../..", "'; --"])
def test_text_comes_back_as_it_was(api: Any, text: str) -> None:
    study = api.new_study(tags={"note": text})
    assert api.get(f"/studies/{study}").json()["tags"] == {"note": text}


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "naïve", "tab\there"])
def test_an_idempotency_key_is_short_and_visible(
    api: Any, problem: Any, study: str, key: str
) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    answer = api.call("POST", f"/api/v1/studies/{study}/ask", json={}, headers=headers)
    assert problem(answer, 422)["errors"][0]["path"] == "Idempotency-Key"


def test_two_idempotency_keys_are_refused(api: Any, problem: Any, study: str) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    problem(api.call("POST", f"/api/v1/studies/{study}/ask", json={}, headers=headers), 422)
