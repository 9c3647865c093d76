"""Which settings a task is tried out with."""

from __future__ import annotations

from tuner.cli.tryout import settings
from tuner.core.space import Space


def test_defaults_come_first_then_both_ends_of_what_own_code_reads():
    space = Space.parse(
        {
            "width": {"type": "int", "low": 4, "high": 64, "default": 16},
            "kind": {"type": "categorical", "choices": ["a", "b"]},
            "depth": {"type": "int", "low": 1, "high": 9, "points": [1, 2], "when": {"kind": "b"}},
            "lr": {"type": "float", "low": 0.1, "high": 0.9, "default": 0.5},
            "heads": {"type": "fixed", "value": 2},
        }
    )
    rest = {"lr": 0.5, "heads": 2}
    assert settings(space, ["width", "kind", "depth", "heads", "unknown"]) == [
        {"width": 16, "kind": "a", **rest},
        {"width": 4, "kind": "a", **rest},
        {"width": 64, "kind": "b", "depth": 2, **rest},
    ]


def test_without_own_parameters_there_is_one_setting():
    space = Space.parse({"lr": {"type": "float", "low": 0.1, "high": 0.9}})
    assert len(settings(space, [])) == 1
