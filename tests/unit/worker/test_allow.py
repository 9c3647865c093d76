"""What a worker may run."""

from __future__ import annotations

import pytest

from tuner.errors import Invalid
from tuner.worker.allow import Allow


def test_built_in_tasks_always_run_and_nothing_else_without_a_pattern():
    allow = Allow.patterns([])
    assert allow.permits({"task": {"dataset": "digits"}})
    assert not allow.permits({"python": "a:b"})
    assert not allow.permits({"command": ["ls"]})


@pytest.mark.parametrize(
    ("pattern", "runner", "expected"),
    [
        ("jobs.train:main", {"python": "jobs.train:main"}, True),
        ("jobs.train:main", {"python": "jobs.train:main2"}, False),
        ("jobs.*:main", {"python": "jobs.train:main"}, True),
        ("jobs.*:main", {"python": "jobs.a.b:main"}, False),
        ("jobs:*", {"python": "jobs:train_fast"}, True),
        ("jobs:*", {"python": "jobs:os.abort"}, False),
        ("jobs*:main", {"python": "jobs:os:main"}, False),
        ("jobs:*", {"command": ["jobs:sh"]}, False),
        (
            "cmd:python train.py --lr {lr}",
            {"command": ["python", "train.py", "--lr", "{lr}"]},
            True,
        ),
        ("cmd:python train.py", {"command": ["python", "train.py", "; rm -rf /"]}, False),
        ("cmd:python *", {"command": ["python", "a.py", "b"]}, False),
        ("cmd:python *.py", {"command": ["python", "x y.py"]}, True),
        ("cmd:python 'a b'", {"command": ["python", "a b"]}, True),
        ("cmd:python a b", {"command": ["python", "a b"]}, False),
        ("cmd:python train.py --m {m}", {"command": ["python", "train.py", ["--m", "{m}"]]}, True),
        ("a.b:c", {"python": "a.b:c\n"}, False),
        ("a?b:c", {"python": "axb:c"}, False),
        ("[ab]:c", {"python": "a:c"}, False),
    ],
)
def test_patterns_name_words_and_a_star_stays_within_one(pattern, runner, expected):
    assert Allow.patterns([pattern]).permits(runner) is expected


def test_everything_is_everything():
    assert Allow.everything().permits({"command": ["rm", "-rf", "/"]})


OWN = {"model": "nets:build", "data": "jobs.data:load", "epochs": 3}


@pytest.mark.parametrize(
    ("task", "patterns", "expected"),
    [
        (OWN, [], False),
        (OWN, ["nets:build"], False),
        (OWN, ["nets:build", "jobs.*:load"], True),
        (OWN, ["nets:*", "cmd:jobs.data:load"], False),
        ({**OWN, "loss": "other:loss"}, ["nets:build", "jobs.data:load"], False),
        ({**OWN, "metric": "nets:f1"}, ["nets:*", "jobs.data:load"], True),
        ({"dataset": "cars.csv"}, [], True),
        ({"dataset": "data/cars.csv", "model": "mlp"}, [], True),
        ({"dataset": "data/../../cars.csv"}, [], False),
        ({"dataset": "/data/cars.csv"}, [], False),
        ({"dataset": "/data/cars.csv"}, ["file:/data/*"], True),
        ({"dataset": "/data/a/cars.csv"}, ["file:/data/*"], False),
        ({"dataset": "/data/../cars.csv"}, ["file:/data/*"], False),
        ({"dataset": "/data/../cars.csv"}, ["file:/*/*/cars.csv"], False),
        ({"dataset": "~/cars.csv"}, ["file:cars.csv"], False),
        ({"dataset": "C:\\cars.csv"}, [], False),
        ({"dataset": "torchvision:MNIST", "root": "sets"}, [], True),
        ({"dataset": "torchvision:MNIST", "root": "/sets"}, ["file:/sets"], True),
        ({"dataset": "torchvision:MNIST", "root": "/sets"}, ["sets:/sets"], False),
        ({"dataset": "torchvision:MNIST", "download": True}, [], False),
        ({"dataset": "torchvision:MNIST", "download": True}, ["download:MNIST"], True),
        ({"dataset": "torchvision:MNIST", "download": False}, [], True),
        (OWN, ["*"], True),
        ("digits", [], False),
    ],
)
def test_a_task_needs_a_right_for_each_entrypoint_file_elsewhere_and_download(
    task, patterns, expected
):
    assert Allow.patterns(patterns).permits({"task": task}) is expected


def test_only_allows_a_task_with_its_own_code_and_tells_the_server_so():
    allow = Allow.only({"task": OWN})
    assert allow.rules == ("nets:build", "jobs.data:load")
    assert allow.permits({"task": OWN})
    assert not allow.permits({"task": {**OWN, "model": "nets:other"}})


def test_only_is_the_very_runner_even_if_it_looks_like_a_pattern():
    allow = Allow.only({"command": ("python", "*.py", ("--m", "{m}"))})
    assert allow.permits({"command": ["python", "*.py", ["--m", "{m}"]]})
    assert not allow.permits({"command": ["python", "evil.py", ["--m", "{m}"]]})
    assert not allow.permits({"command": ["python", "*.py", "--m", "{m}"]})
    assert not allow.permits({"task": {}})
    assert Allow.only({"task": {"epochs": 1}}).permits({"task": {"epochs": 1}})


@pytest.mark.parametrize(
    "pattern", ["", "  ", "train.py", "jobs.*", "**", "cmd:", "cmd:python 'a"]
)
def test_a_pattern_that_matches_nothing_is_refused(pattern):
    with pytest.raises(Invalid, match="--allow"):
        Allow.patterns([pattern])
