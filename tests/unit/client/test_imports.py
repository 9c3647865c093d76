import json
import pickle
import subprocess
import sys

import pytest

import tuner
from tuner import errors
from tuner.settings import child_environment

HEAVY = ["torch", "sqlalchemy", "fastapi", "numpy", "pandas", "optuna", "plotly", "ray", "uvicorn"]


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env=child_environment(),
    )
    return set(json.loads(done.stdout))


def test_import_tuner_loads_hardly_anything():
    modules = loaded_by("import tuner")
    assert not modules & {*HEAVY, "pydantic", "httpx2", "typer", "ruamel.yaml"}


def test_the_client_loads_nothing_of_the_server():
    modules = loaded_by("import tuner; tuner.Client, tuner.AsyncClient, tuner.Float, tuner.space")
    assert not modules & set(HEAVY)
    towers = ("service", "storage", "api", "samplers", "pruners", "analysis", "worker", "cli")
    assert not modules & {f"tuner.{tower}" for tower in towers}


@pytest.mark.parametrize("name", tuner.__all__)
def test_every_public_name_is_there(name):
    assert getattr(tuner, name) is not None
    assert name in dir(tuner)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Study'"):
        tuner.Study  # noqa: B018


@pytest.mark.parametrize("cls", sorted(errors.BY_CODE.values(), key=lambda cls: cls.code))
def test_every_error_pickles_with_all_it_knows(cls):
    field = errors.FieldError("space.x", 1, ["a"], "a")
    error = cls("What happened.", hint="Do this.", errors=[field], request_id="r-1")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(back) is cls
    assert (back.message, back.hint, back.errors, back.request_id) == (
        "What happened.", "Do this.", (field,), "r-1"
    )  # fmt: skip
    assert str(back) == "What happened. Do this."


def test_the_signal_pickles_and_is_no_exception():
    assert pickle.loads(pickle.dumps(errors.TrialStopped("budget"))).reason == "budget"  # noqa: S301  our own bytes
    assert not issubclass(errors.TrialStopped, Exception)
