"""Every route answers errors in one shape, and is described with a good name."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Route

from tuner.api.access import OPEN_PATHS
from tuner.api.app import create_app
from tuner.api.operations import DirectRoute
from tuner.api.schemas import TRIAL
from tuner.core.trial import Trial

PROBED = ("GET", "POST", "PATCH", "DELETE")


def filled(path: str) -> str:
    """A path template with names that nothing has."""
    return path.replace("{name}", "nobody").replace("{number}", "7").replace("{id}", "nobody")


def routes(api: Any) -> list[tuple[str, str]]:
    return [(method, route.path) for route in api.app.routes for method in sorted(route.methods)]


def test_every_route_is_one_of_ours(api: Any) -> None:
    assert len(api.app.routes) > 35
    assert all(isinstance(route, DirectRoute) for route in api.app.routes)


def test_every_route_refuses_an_unknown_query_parameter(api: Any, problem: Any) -> None:
    for method, path in routes(api):
        answer = api.call(method, f"{filled(path)}?limt=3", json={} if method != "GET" else None)
        body = problem(answer, 422, "unknown-name")
        assert body["errors"][0]["found"] == "limt", path


def test_every_route_with_a_study_says_that_it_does_not_exist(api: Any, problem: Any) -> None:
    bodies = {
        "tell": {"lease": "x", "state": "pruned"},
        "log": {"lease": "x", "text": "y"},
        "trials": {"params": {"x": 0.5}},
        "ask": {},
        "confirm": {},
    }
    for method, path in routes(api):
        if "/studies/{name}" not in path:
            continue
        last = path.rpartition("/")[2]
        body = bodies.get(last, {"lease": "x"}) if method == "POST" else {}
        options = {} if method in ("GET", "DELETE") else {"json": body}
        got = problem(api.call(method, filled(path), **options), 404, "study-not-found")
        assert "nobody" in got["detail"], path


def test_every_path_refuses_other_methods_with_the_allowed_ones(api: Any, problem: Any) -> None:
    taken: dict[str, set[str]] = {}
    for method, path in routes(api):
        taken.setdefault(path, set()).add(method)
    for path, methods in taken.items():
        for method in {*PROBED, "PUT", "OPTIONS"} - methods:
            answer = api.call(method, filled(path))
            problem(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == ", ".join(sorted(methods)), path


def test_head_works_for_health_and_readiness_only(api: Any) -> None:
    for path in OPEN_PATHS:
        assert api.call("HEAD", path).status_code == api.call("GET", path).status_code == 200
    assert api.call("HEAD", "/api/v1/studies").status_code == 405


@pytest.mark.parametrize("path", ["workers", "optimizers", "samplers", "pruners"])
def test_a_list_without_query_parameters_says_so(api: Any, problem: Any, path: str) -> None:
    body = problem(api.get(f"/{path}?limit=1"), 422)
    assert body["detail"] == f"limit: /api/v1/{path} takes no query parameters."
    assert body["errors"][0]["path"] == "limit"


def test_what_must_be_a_mapping_is_told_with_its_keys(api: Any, problem: Any) -> None:
    worker = {"name": "w", "host": "h", "devices": ["cpu"]}
    body = problem(api.post("/workers", worker), 422)
    assert body["errors"][0]["path"] == "devices[0]"
    assert "must be a mapping with name, kind, memory_bytes, uuid, model" in body["detail"]


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v2/studies", "/docs/", "/%00"])
def test_an_unknown_path_is_a_problem(api: Any, problem: Any, path: str) -> None:
    problem(api.call("GET", path), 404, "not-found")


def test_a_name_that_no_study_can_have_is_not_found(api: Any, problem: Any) -> None:
    for name in ("a%00b", "%ED%A0%80", "a%20b", "x" * 129, "%E2%82%AC", "..;"):
        problem(api.get(f"/studies/{name}"), 404)


def test_a_number_that_no_trial_can_have_is_not_found(api: Any, problem: Any) -> None:
    study = api.new_study()
    for number in ("-1", "1.0", "one", "9" * 400, "%31%00", "0x1", "١"):
        problem(api.get(f"/studies/{study}/trials/{number}"), 404, "trial-not-found")


def test_a_worker_that_no_id_can_name_is_not_found(api: Any, problem: Any) -> None:
    for worker in ("a%00", "a%20b", "x" * 300):
        problem(api.post(f"/workers/{worker}/drain"), 404, "worker-not-found")


def test_query_values_are_read_strictly(api: Any, problem: Any) -> None:
    study = api.new_study()
    wrong = [
        ("/studies?limit=0", "limit"),
        ("/studies?limit=1001", "limit"),
        ("/studies?limit=1e2", "limit"),
        ("/studies?limit=+5", "limit"),
        ("/studies?limit=", "limit"),
        ("/studies?limit=5&limit=6", "limit"),
        ("/studies?state=activ", "state"),
        ("/studies?q=" + "x" * 200, "q"),
        (f"/studies/{study}/trials?state=complete,prund", "state"),
        (f"/studies/{study}/report?format=pdf", "format"),
        (f"/studies/{study}/export?format=xml", "format"),
        (f"/studies/{study}/events?last_event_id=-1", "last_event_id"),
    ]
    for path, where in wrong:
        body = problem(api.get(path), 422)
        assert body["errors"][0]["path"] == where, path
    assert problem(api.get("/studies?state=activ"), 422)["errors"][0]["nearest"] == "active"
    for path in ("/studies?q=%00", "/studies?q=%ff", "/studies?q=%ED%A0%80", "/studies?cursor=%%"):
        problem(api.get(path), 422)


def test_a_foreign_cursor_is_refused(api: Any, problem: Any) -> None:
    study = api.new_study()
    for path in ("/studies", f"/studies/{study}/trials"):
        for cursor in ("nonsense", "AAAA", "🙂", "x" * 900):
            problem(api.get(path, params={"cursor": cursor}), 422)


def test_an_unexpected_error_keeps_its_cause_to_the_log(
    api: Any, problem: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def get_study(self, name: str) -> None:
            raise ZeroDivisionError("SELECT secret FROM studies")

    answer = api.call("GET", "/api/v1/studies/x", app=create_app(Broken()))  # type: ignore[arg-type]
    body = problem(answer, 500, "error")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    logged = [record for record in caplog.records if body["request_id"] in record.getMessage()]
    assert logged
    assert "SELECT secret" in caplog.text


def test_a_request_id_of_the_caller_is_kept_if_it_is_harmless(api: Any) -> None:
    given = api.call("GET", "/healthz", headers={"X-Request-Id": "abc-1234.5"})
    assert given.headers["x-request-id"] == "abc-1234.5"
    for bad in ("short", "a b c d e f", "x" * 65, "<script>alert(1)"):
        answer = api.call("GET", "/healthz", headers={"X-Request-Id": bad})
        assert answer.headers["x-request-id"] != bad


def test_every_answer_forbids_type_guessing(api: Any) -> None:
    for path in ("/healthz", "/nowhere", "/docs", "/metrics"):
        assert api.call("GET", path).headers["x-content-type-options"] == "nosniff"


def test_the_description_is_openapi_3_1_with_unique_names(api: Any) -> None:
    described = api.call("GET", "/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    operations = [op for methods in described["paths"].values() for op in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == len(routes(api))
    assert {"studies_create", "studies_list", "trials_ask", "trials_tell", "workers_lease"} <= set(
        ids
    )
    for operation in operations:
        tag, _, verb = operation["operationId"].partition("_")
        assert operation["tags"] == [tag]
        assert verb.replace("_", "").isalpha()
        assert operation["summary"]
        assert any(code.startswith("2") for code in operation["responses"])


def test_every_reference_in_the_description_resolves(api: Any) -> None:
    described = api.call("GET", "/openapi.json").json()
    known = described["components"]["schemas"]
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.add(value["$ref"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(described)
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in known, reference
    for name, schema in known.items():
        jsonschema_rs.meta.validate(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        )
        for example in schema.get("examples", ()):
            whole = {**schema, "components": {"schemas": known}}
            assert jsonschema_rs.Draft202012Validator(whole).is_valid(example), name


def test_the_example_bodies_fit_their_schemas(api: Any) -> None:
    described = api.call("GET", "/openapi.json").json()
    seen = 0
    for methods in described["paths"].values():
        for operation in methods.values():
            media = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if media is None:
                continue
            schema = {**media["schema"], "components": described["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema)
            assert not list(validator.iter_errors(media["example"])), operation["operationId"]
            seen += 1
    assert seen >= 12


def test_the_described_trial_has_the_fields_of_the_core(api: Any) -> None:
    assert list(TRIAL) == list(Trial.__annotations__)


def test_the_docs_page_shows_every_operation_and_loads_nothing(api: Any) -> None:
    answer = api.call("GET", "/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text.replace("https://json-schema.org", "")
    for method, path in routes(api):
        assert path in answer.text, method


def test_only_health_and_readiness_are_open() -> None:
    assert {"/healthz", "/readyz"} == OPEN_PATHS
    assert issubclass(DirectRoute, Route)
