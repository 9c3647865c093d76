"""Names, options and their mistakes; what is loaded, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tuner.core.space import Space
from tuner.core.study import Named
from tuner.errors import Invalid, NotAvailable, UnknownName
from tuner.samplers import registry
from tuner.samplers.base import Observation, Request
from tuner.samplers.entry import run

SPACE = Space.parse({"x": {"type": "float", "low": 0, "high": 1}})


def test_options_are_written_out():
    assert registry.read(Named(name="gp", seed=7)) == {
        "name": "gp",
        "seed": 7,
        "engine": "optuna",
        "n_startup": 8,
        "deterministic": False,
    }


@pytest.mark.parametrize(
    ("spec", "error", "path", "nearest"),
    [
        ({"name": "gpp"}, UnknownName, "sampler.name", "gp"),
        ({"name": "zzz"}, UnknownName, "sampler.name", None),
        ({"name": "bayes"}, UnknownName, "sampler.name", "gp"),
        ({"name": "Gaussian_Process"}, UnknownName, "sampler.name", "gp"),
        ({"name": "TPESampler"}, UnknownName, "sampler.name", "tpe"),
        ({"name": "sobol"}, UnknownName, "sampler.name", "qmc"),
        ({"name": "grid-search"}, UnknownName, "sampler.name", "grid"),
        ({"name": "cmae"}, UnknownName, "sampler.name", None),
        ({"name": "cmaes"}, NotAvailable, "sampler.name", None),
        ({"name": "auto"}, NotAvailable, "sampler.name", None),
        ({"name": "nsga2"}, NotAvailable, "sampler.name", None),
        ({"name": "gp", "sead": 1}, Invalid, "sampler.sead", "seed"),
        ({"name": "gp", "engine": "optun"}, Invalid, "sampler.engine", "optuna"),
        ({"name": "tpe", "n_startup": 0}, Invalid, "sampler.n_startup", None),
        ({"name": "random", "seed": True}, Invalid, "sampler.seed", None),
        ({"name": "random", "seed": -1}, Invalid, "sampler.seed", None),
        ({"name": "random", "seed": 1.5}, Invalid, "sampler.seed", None),
    ],
)
def test_a_mistake_names_its_path_and_the_nearest(spec, error, path, nearest):
    with pytest.raises(error) as caught:
        registry.read(Named(**spec))
    assert type(caught.value) is error
    assert caught.value.errors[0].path == path
    assert caught.value.errors[0].nearest == nearest


def test_what_is_suggested_is_available():
    for name in ("bayes", "cmae", "nsga", "aut", "rnd", "gpp"):
        with pytest.raises(UnknownName) as caught:
            registry.read(Named(name=name))
        assert caught.value.errors[0].nearest in (None, *registry.names())


def test_what_is_not_yet_there_says_what_to_take():
    with pytest.raises(NotAvailable, match="is not yet available; use gp or tpe"):
        registry.read(Named(name="cmaes"))


def test_every_sampler_and_option_is_described():
    described = {item["name"]: item for item in registry.describe()}
    assert list(described) == registry.names()
    for name, item in described.items():
        assert item["title"]
        assert item["doc"]
        assert item["source"]
        assert item["needs_history"] is registry.needs_history(name)
        written = registry.read(Named(name=name))
        assert {o["name"]: o["default"] for o in item["options"]} == {
            key: value for key, value in written.items() if key != "name"
        }
        assert all(option["doc"] and option["type"] for option in item["options"])


def test_several_objectives_are_refused_by_the_engine_that_takes_one():
    sampler = registry.build(registry.read(Named(name="gp", engine="skopt")))
    with pytest.raises(Invalid) as caught:
        sampler.check(SPACE, 2, None)
    assert caught.value.errors[0].path == "sampler.engine"


def test_reading_building_and_checking_load_no_heavy_library():
    code = (
        "import sys\n"
        "from tuner.core.space import Space\n"
        "from tuner.core.study import Named\n"
        "from tuner.samplers import registry\n"
        "space = Space.parse({'x': {'type': 'int', 'low': 0, 'high': 1}})\n"
        "for name in registry.names():\n"
        "    sampler = registry.build(registry.read(Named(name=name)))\n"
        "    sampler.check(space, 1, None), sampler.size(space)\n"
        "heavy = {'torch', 'optuna', 'skopt', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_pool_entry_takes_plain_data():
    history = [
        {"number": i, "params": {"x": i / 12}, "state": "complete", "losses": [float(i)]}
        for i in range(12)
    ]
    history.append({"number": 12, "params": {"x": 0.5}, "state": "pruned", "last": [3, 0.5]})
    spec = registry.read(Named(name="tpe", seed=3))
    fields = {"index": 20, "count": 2, "history": history, "pending": [{"x": 0.1}]}
    got = run(spec, SPACE.to_json(), fields)
    assert [set(item) for item in got] == [{"params", "note"}] * 2
    observed = tuple(
        Observation(**{**item, **{k: tuple(item[k]) for k in ("losses", "last") if k in item}})
        for item in history
    )
    request = Request(SPACE, 3, 20, 2, observed, ({"x": 0.1},))
    assert [item["params"] for item in got] == [
        item.params for item in registry.build(spec).suggest(request)
    ]
