"""Studies are changed, listed page by page and deleted, on both databases."""

from __future__ import annotations

import pytest

from tuner.errors import Conflict, Invalid, StudyNotFound, TrialNotFound


def test_a_wrong_change_changes_nothing(service):
    name = service.new_study(budget={"trials": 5})
    for body, path in (
        ({"budget": {"trials": -1}}, "budget.trials"),
        ({"budget": {"trails": 3}}, "budget.trails"),
        ({"tags": {"a": [1]}}, "tags.a"),
    ):
        with pytest.raises(Invalid) as caught:
            service.change(name, **body)
        assert caught.value.errors[0].path == path
    assert service.study(name)["budget"] == {"trials": 5}
    assert service.change(name, budget={"trials": None})["budget"] == {}


def test_studies_are_listed_by_name_page_by_page(fresh_service):
    service = fresh_service
    names = ["b", "B", "a-1", "a_1", "a.1", "A", "z", "Z-2"]
    for name in names:
        service.new_study(name=name)
    service.change("z", state="finished")
    for size in (1, 3, 4, 8, 9):
        found, cursor = [], None
        while True:
            page = service.run(service.manager.list_studies(limit=size, cursor=cursor))
            found += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
            assert (cursor is None) == (len(found) == len(names))
            if cursor is None:
                break
        assert found == sorted(names)
    finished = service.run(service.manager.list_studies(state="finished"))
    assert [item["name"] for item in finished["items"]] == ["z"]
    matching = service.run(service.manager.list_studies(q="A_"))
    assert [item["name"] for item in matching["items"]] == ["a_1"]
    with pytest.raises(Invalid, match="active"):
        service.run(service.manager.list_studies(state="activ"))
    with pytest.raises(Invalid, match="cursor"):
        service.run(service.manager.list_studies(cursor="!!"))


def test_a_deleted_study_is_gone_with_everything_and_its_name_is_free(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.report(trial, (1, {"loss": 1.0}))
    service.run(service.manager.delete_study(name))
    with pytest.raises(StudyNotFound):
        service.study(name)
    with pytest.raises(StudyNotFound):
        service.tell(trial, 1.0)
    with pytest.raises(StudyNotFound):
        service.run(service.manager.delete_study(name))
    service.new_study(name=name)
    assert service.trials(name) == []
    with pytest.raises(TrialNotFound):
        service.trial(name, 0)
    (new,) = service.ask(name)
    with pytest.raises(Conflict):
        service.tell(trial, 1.0)
    service.tell(new, 1.0)
