"""GET /comparison: several studies of the same optimizers as one document."""

from __future__ import annotations

from typing import Any

import pytest


def space_of(*names: str) -> dict[str, Any]:
    """A space with the learning rates of these optimizers only."""
    return {"optimizers": {"names": list(names), "size": "small"}}


@pytest.fixture
def studies(api: Any) -> list[str]:
    """Two studies with results of two optimizers."""
    names = []
    for shift in (0.0, 0.1):
        study = api.new_study(space=space_of("sgd", "adam"))
        for number, (optimizer, value) in enumerate([("sgd", 0.5), ("adam", 0.4)]):
            params = {"optimizer": optimizer, f"{optimizer}.lr": 0.01}
            body = {"params": params, "state": "complete", "values": {"loss": value + shift}}
            assert api.post(f"/studies/{study}/trials", body).json()["number"] == number
        names.append(study)
    return names


def test_it_answers_in_every_form(api: Any, studies: list[str]) -> None:
    joined = ",".join(studies)
    found = api.get(f"/comparison?studies={joined}").json()
    assert found["studies"] == studies
    assert found["ranks"][0] == {"optimizer": "adam", "mean_rank": 1.0, "wins": 2}
    page = api.get(f"/comparison?studies={joined}&format=html")
    assert page.headers["content-type"].startswith("text/html")
    assert "sandbox" in page.headers["content-security-policy"]
    text = api.get(f"/comparison?studies={studies[0]}&studies={studies[1]}&format=md").text
    assert text.startswith("# Comparison of 2 optimizers over 2 studies")


def test_it_reads_what_was_reported(api: Any) -> None:
    study = api.new_study(space=space_of("sgd"))
    trial = api.post(f"/studies/{study}/ask", {}).json()["trials"][0]
    path = f"/studies/{study}/trials/{trial['number']}"
    rows = [{"step": 1, "values": {"loss": 0.5, "seconds": 3.0, "unread": 1.0}}]
    api.post(f"{path}/report", {"lease": trial["lease"], "measurements": rows})
    api.post(f"{path}/tell", {"lease": trial["lease"], "state": "complete"})
    found = api.get(f"/comparison?studies={study}").json()
    (curve,) = found["comparisons"][0]["budget"]["curves"]
    assert curve["mean_seconds"] == 3.0
    assert curve["expected"] == [0.5]


def test_it_is_made_anew_when_a_study_changes(api: Any, studies: list[str]) -> None:
    before = api.get(f"/comparison?studies={studies[0]}").json()
    assert api.get(f"/comparison?studies={studies[0]}").json() == before
    params = {"optimizer": "sgd", "sgd.lr": 0.01}
    body = {"params": params, "state": "complete", "values": {"loss": 0.1}}
    api.post(f"/studies/{studies[0]}/trials", body)
    assert api.get(f"/comparison?studies={studies[0]}").json()["ranks"][0]["optimizer"] == "sgd"


def test_a_name_given_twice_counts_once(api: Any, studies: list[str]) -> None:
    found = api.get(f"/comparison?studies={studies[0]},{studies[0]}").json()
    assert found["studies"] == studies[:1]


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ("", 422, "studies"),
        ("?studies=", 422, "studies"),
        ("?studies=,", 422, "studies"),
        ("?studies=" + ",".join(f"s{i}" for i in range(33)), 422, "studies"),
        ("?studies={}&format=pdf", 422, "format"),
        ("?study={}", 422, "study"),
        ("?studies={},nobody", 404, None),
        ("?studies={},%20", 404, None),
    ],
)
def test_what_cannot_be_compared_is_a_problem(
    api: Any, problem: Any, studies: list[str], query: str, status: int, path: str | None
) -> None:
    found = problem(api.get(f"/comparison{query.format(studies[0])}"), status)
    if path is not None:
        assert found["errors"][0]["path"] == path


def test_studies_without_optimizers_or_in_common_are_named(
    api: Any, problem: Any, studies: list[str]
) -> None:
    plain = api.new_study()
    found = problem(api.get(f"/comparison?studies={studies[0]},{plain}"), 422)
    assert plain in found["detail"]
    other = api.new_study(space=space_of("lion"))
    body = {"params": {"optimizer": "lion", "lion.lr": 1e-4}, "state": "complete"}
    api.post(f"/studies/{other}/trials", {**body, "values": {"loss": 0.5}})
    found = problem(api.get(f"/comparison?studies={studies[0]},{other}"), 422)
    assert "no optimizer in common" in found["detail"]


def test_the_description_has_it(api: Any) -> None:
    described = api.app.openapi()["paths"]["/api/v1/comparison"]["get"]
    assert {"404", "422"} <= set(described["responses"])
    assert [item["name"] for item in described["parameters"]] == ["studies", "format"]
