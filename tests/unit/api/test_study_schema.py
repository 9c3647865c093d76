"""The JSON Schema of study files: it takes what the core takes, and names every option."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from tuner.api.study_schema import DIALECT, EXAMPLE, study_schema
from tuner.core.study import StudySpec
from tuner.pruners import registry as pruners
from tuner.samplers import registry as samplers
from tuner.tasks.groups import GROUPS
from tuner.tasks.registry import OPTIONS
from tuner.tasks.source import READS

VALIDATOR = jsonschema_rs.Draft202012Validator(study_schema())
CONTRACT: dict[str, Any] = {
    "name": "digits-optimizers",
    "objectives": [{"metric": "val_loss", "direction": "minimize", "from": "best"}],
    "constraints": [{"metric": "params_million", "at_most": 2.0}],
    "space": {
        "optimizers": ["sgd", "momentum", "adam"],
        "parameters": {
            "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
            "dropout": {"type": "float", "low": 0.0, "high": 0.6},
            "schedule": {"type": "categorical", "choices": ["constant", "cosine", "linear"]},
            "warmup": {
                "type": "float",
                "low": 0.0,
                "high": 0.3,
                "when": {"schedule": ["cosine", "linear"]},
            },
            "adam.lr": {"low": 1e-5, "high": 1e-2},
        },
    },
    "sampler": {"name": "gp", "seed": 7},
    "pruner": {"name": "asha", "min_step": 1, "max_step": 27, "reduction_factor": 3},
    "budget": {"trials": 60, "seconds": 600, "target": 0.05},
    "trial": {
        "task": {"dataset": "digits", "model": "mlp", "epochs": 27},
        "resources": {"gpus": 0, "cpus": 1},
        "timeout": 3600,
        "max_attempts": 3,
        "retry_on": ["oom", "lost", "killed"],
    },
    "tags": {"team": "vision"},
}
LINE = {"x": {"type": "float", "low": 0, "high": 1}}
SHORT: dict[str, Any] = {"name": "a", "objective": "loss", "space": LINE}


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert study_schema()["$schema"] == DIALECT
    jsonschema_rs.meta.validate(study_schema())


@pytest.mark.parametrize("study", [CONTRACT, EXAMPLE, SHORT])
def test_the_core_and_the_schema_both_take_a_good_study(study: dict[str, Any]) -> None:
    StudySpec.read(study)
    assert not list(VALIDATOR.iter_errors(study))


@pytest.mark.parametrize(
    "change",
    [
        {"objective": ["loss", "maximize"]},
        {"objective": ["loss"]},
        {"objective": {"metric": "loss"}},
        {"sampler": "random"},
        {"sampler": {"name": "grid"}},
        {"pruner": "hyperband"},
        {"space": {"parameters": LINE}},
        {"space": {"optimizers": "adam"}},
        {"space": {"optimizers": {"names": ["adam"], "size": "large"}}},
        {"space": {"x": {"type": "int", "low": 1, "high": 9, "points": [1, 5]}}},
        {"space": {"x": {"type": "fixed", "value": True}}},
        {"space": {"x": {"type": "float", "low": 0, "high": 1, "prior": {"mean": 0, "std": 1}}}},
        {"trial": {"python": "package.module:objective"}},
        {"trial": {"command": ["python", "train.py", ["--momentum", "{momentum}"]]}},
        {"trial": {"task": {"dataset": "data/cars.csv", "model": "a:b", "reads": ["k"]}}},
        {"trial": {"task": {"data": "a.b:load", "loss": "a:b", "reads": {"k": 3}}}},
        {"trial": {"task": {"dataset": "torchvision:MNIST", "download": True}}},
        {"tags": {"a": 1, "b": 0.5, "c": False}},
        {"space": None, "compare": ["adamw", "sgd"]},
        {"space": {"optimizers": ["adamw", "sgd"]}, "compare": {"trials": 3, "seeds": 0}},
        {"compare": {"optimizers": ["adamw", "sgd"], "seconds": 60, "target": 0.1}},
    ],
)
def test_the_core_and_the_schema_both_take_short_forms(change: dict[str, Any]) -> None:
    study = {key: value for key, value in {**SHORT, **change}.items() if value is not None}
    StudySpec.read(study)
    assert not list(VALIDATOR.iter_errors(study)), change


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a b"},
        {"name": ".."},
        {"objectives": [{"metric": "loss"}]},
        {"objective": {"metric": "loss", "direction": "down"}},
        {"space": {}},
        {"space": {"x": {"type": "float", "low": 0}}},
        {"space": {"x": {"low": 0, "high": 1}}},
        {"space": {"x": {"type": "float", "low": 0, "high": 1, "hihg": 2}}},
        {"space": {"1x": {"type": "fixed", "value": 1}}},
        {"space": {"optimizers": ["adm"]}},
        {"sampler": {"name": "random", "n_startup": 4}},
        {"sampler": "gpp"},
        {"pruner": {"name": "asha", "reduction_factor": 1}},
        {"budget": {"trials": 0}},
        {"compare": "adamw"},
        {"compare": ["adamw"]},
        {"compare": {"optimizers": ["adamw", "sgd"], "trials": 3, "seconds": 60}},
        {"compare": {"optimizers": ["adamw", "sgd"], "trails": 3}},
        {"compare": {"optimizers": ["adamw", "sgd"], "seeds": 101}},
        {"trial": {"task": {"dataset": "digits"}, "python": "a:b"}},
        {"trial": {"task": {"dataset": "digits", "epohcs": 3}}},
        {"trial": {"task": {"model": "mlp"}}},
        {"trial": {"task": {"data": "a:b", "dataset": "digits"}}},
        {"trial": {"task": {"dataset": "digit"}}},
        {"trial": {"task": {"dataset": "digits", "model": "a:"}}},
        {"trial": {"python": "a:b", "retry_on": ["cancelled"]}},
        {"colour": "red"},
    ],
)
def test_the_schema_refuses_mistakes(change: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors({**SHORT, **change})), change


def test_it_names_every_option_of_every_registry() -> None:
    parts = study_schema()["$defs"]
    assert set(parts["Task"]["properties"]) == {*OPTIONS, GROUPS, READS}
    for part, registry in (("Sampler", samplers), ("Pruner", pruners)):
        names, *forms = parts[part]["anyOf"]
        assert names["enum"] == registry.names()
        described = {entry["name"]: entry for entry in registry.describe()}
        for form in forms:
            entry = described[form["properties"]["name"]["const"]]
            options = {option["name"] for option in entry["options"]}
            assert set(form["properties"]) == {"name", *options}


def test_it_never_mentions_null_or_generated_titles() -> None:
    text = str(study_schema())
    assert "'null'" not in text
    assert text.count("'title'") == 1
