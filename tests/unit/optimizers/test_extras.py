"""Which extras optimizers need, and what of them is there."""

import pytest

from tuner.cli.extras import missing, optimizers_of, require
from tuner.errors import NotAvailable
from tuner.optimizers import extras
from tuner.optimizers.registry import ENTRIES

TASK = {"dataset": "digits", "model": "mlp"}


@pytest.fixture
def without(monkeypatch):
    """An installation without the extra."""
    monkeypatch.setitem(extras.MODULES, "optimizers", "no_such_library")
    extras.is_installed.cache_clear()
    yield
    extras.is_installed.cache_clear()


def study(*names, groups=(), trial=True):
    parameters = {"optimizer": {"type": "categorical", "choices": list(names)}}
    task = {**TASK, "groups": list(groups)}
    return {
        "trial": {"task": task} if trial else {"python": "pkg:train"},
        "expanded_space": {"parameters": parameters},
    }


def test_every_extra_of_an_entry_is_known():
    assert {entry.extra for entry in ENTRIES.values()} == {None, *extras.MODULES}


def test_needs_are_by_extra_in_the_order_given_and_unknown_names_pass():
    assert extras.needed(["adan", "adam", "soap", "adan", "mine"]) == {
        "optimizers": ["adan", "soap"]
    }


def test_an_installed_extra_is_found_without_importing_it():
    assert extras.is_installed("optimizers")
    assert extras.label() == "optimizers"
    extras.require(["soap", "adam"])


def test_a_missing_extra_is_refused_with_its_command(without):
    assert extras.label() == ""
    extras.require(["adam", "lion"])
    with pytest.raises(NotAvailable, match="soap, adan need no_such_library") as caught:
        extras.require(["adam", "soap", "adan"], "space.optimizers")
    assert caught.value.errors[0].path == "space.optimizers"
    assert "pip install 'tuner[optimizers]'" in caught.value.hint


def test_the_optimizers_of_a_study_are_those_of_its_space_and_groups():
    assert optimizers_of(study("sgd", groups=[{"match": "4", "optimizer": "soap"}])) == [
        "sgd",
        "soap",
    ]
    assert optimizers_of({"trial": {"task": {**TASK, "optimizer": "adan"}}}) == ["adan"]
    assert optimizers_of(study("soap", trial=False)) == []
    assert optimizers_of({}) == []


def test_a_study_that_cannot_run_here_is_refused_or_noted(without):
    with pytest.raises(NotAvailable):
        require(study("soap"))
    (line,) = missing(study("soap", "adam"))
    assert "soap" in line
    assert line.endswith("pip install 'tuner[optimizers]'")
    require(study("adam"))
    assert missing(study("adam")) == []
