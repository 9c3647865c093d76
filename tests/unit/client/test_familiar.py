"""Names of other tools get an answer, and the answer is true."""

import ast
import copy
import inspect
import pickle
import re

import pytest

import tuner
from tuner.client import familiar
from tuner.client.client import Client
from tuner.client.familiar import CREATE, MODULE, OPTIMIZE, ROW, STUDY, TRIAL, TrialRow
from tuner.client.study import Study
from tuner.client.trial import Trial

CODE = re.compile(r"`([^`]+)`")
OWN = ("name", "params")  # set in __init__
HOMES = {"study": Study, "trial": Trial, "client": Client, "tuner": tuner}
HINTS = {
    f"{title}.{name}": hint
    for title, table in {
        "trial": TRIAL,
        "study": STUDY,
        "row": ROW,
        "tuner": MODULE,
        "optimize": OPTIMIZE,
        "create_study": CREATE,
    }.items()
    for name, hint in table.items()
} | {"trial.report": familiar.REPORT}
KEYWORDS = {
    name
    for method in (Client.create_study, Study.optimize)
    for name in inspect.signature(method).parameters
}


@pytest.fixture
def study(client, a_study):
    return Study(client, a_study())


@pytest.fixture
def trial(client, leased):
    made = Trial(client, leased(), metrics=["loss"], has_pruner=False)
    yield made
    made.abandon()


def snippets():
    return [
        pytest.param(code, id=f"{name}-{i}")
        for name, hint in HINTS.items()
        for i, code in enumerate(CODE.findall(hint))
        if not code.startswith("[")
    ]


def parts_of(code):
    """The snippet as Python; `name=value` is a keyword of create_study or optimize."""
    tree = ast.parse(code.replace(", …", ""))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id not in HOMES:
            assert node.targets[0].id in KEYWORDS, code
    return list(ast.walk(tree))


@pytest.mark.parametrize("code", snippets())
def test_what_a_hint_names_is_there_and_can_be_called_so(code):
    for node in parts_of(code):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert hasattr(HOMES[node.value.id], node.attr) or node.attr in OWN, code
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
            inner = node.value.func
            owners = {"Client": Client, "current_trial": Trial, "get_study": Study}
            if inner.attr in owners:
                assert hasattr(owners[inner.attr], node.attr) or node.attr in OWN, code
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            home = HOMES.get(getattr(node.func.value, "id", None))
            if home is None:
                continue
            method = getattr(home, node.func.attr)
            own = [None] if home is not tuner else []
            named = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(method).bind(*own, *node.args, **named)


@pytest.mark.parametrize("name", STUDY)
def test_a_study_answers_to_names_of_other_tools(study, name):
    assert not hasattr(study, name)
    assert getattr(study, name, "else") == "else"
    with pytest.raises(AttributeError, match="'Study' object has no") as caught:
        getattr(study, name)
    assert str(caught.value).endswith(STUDY[name])


@pytest.mark.parametrize("name", TRIAL)
def test_a_trial_answers_to_names_of_other_tools(trial, name):
    assert not hasattr(trial, name)
    with pytest.raises(AttributeError, match="'Trial' object has no") as caught:
        getattr(trial, name)
    assert str(caught.value).endswith(TRIAL[name])


@pytest.mark.parametrize("name", sorted(MODULE.keys() - {"samplers", "pruners"}))
def test_the_package_answers_to_names_of_other_tools(name):
    assert not hasattr(tuner, name)
    with pytest.raises(AttributeError, match=f"module 'tuner' has no attribute '{name}': "):
        getattr(tuner, name)


def test_a_name_that_nobody_knows_gets_pythons_own_words(study):
    with pytest.raises(
        AttributeError, match=r"^'Study' object has no attribute 'nope'$"
    ) as caught:
        study.nope  # noqa: B018
    assert caught.value.obj is study
    with pytest.raises(AttributeError, match=r"^module 'tuner' has no attribute 'nope'$"):
        tuner.nope  # noqa: B018


def test_an_attribute_error_inside_a_property_keeps_its_words(study):
    study.client = None
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'rest'"):
        study.pareto  # noqa: B018


def test_study_and_trial_can_be_copied(study, trial):
    assert copy.copy(study).name == study.name
    assert copy.copy(trial).number == trial.number


@pytest.mark.parametrize("name", OPTIMIZE)
def test_optimize_says_what_a_keyword_is_called_here(study, name):
    with pytest.raises(TypeError) as caught:
        study.optimize(lambda trial: 0.0, **{name: 3})
    assert OPTIMIZE[name] in str(caught.value)


@pytest.mark.parametrize("name", CREATE)
def test_create_study_says_what_a_keyword_is_called_here(client, name):
    with pytest.raises(TypeError) as caught:
        client.create_study("digits", **{name: "x"})
    assert CREATE[name] in str(caught.value)


def test_other_wrong_keywords_are_refused_as_ever(study):
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        study.optimize(lambda trial: 0.0, nope=3)


@pytest.mark.parametrize(("args", "kwargs"), [((0.5, 1), {}), ((), {"loss": 0.5})])
def test_a_report_the_wrong_way_round_shows_the_right_one(trial, args, kwargs):
    with pytest.raises(TypeError, match=r"trial\.report\(1, val_loss=0\.5\)"):
        trial.report(*args, **kwargs)


def test_a_row_is_a_dict_that_says_how_to_read_it():
    row = TrialRow({"number": 3, "params": {"x": 1.0}})
    assert row == {"number": 3, "params": {"x": 1.0}}
    assert repr(row) == repr(dict(row))
    assert copy.deepcopy(row) == pickle.loads(pickle.dumps(row)) == row  # noqa: S301
    with pytest.raises(AttributeError, match=re.escape('take the key `["params"]`')):
        row.params  # noqa: B018
    with pytest.raises(AttributeError):
        row.note = 1


def test_the_best_trial_may_go_into_a_checkpoint(trial, tmp_path, client, leased):
    kept = Trial.attach(client, "digits", leased(), tmp_path, metrics=["loss"], has_pruner=False)
    kept.save_checkpoint({"best": TrialRow({"number": 3})}, 1)
    assert kept.load_checkpoint() == {"best": {"number": 3}}
    kept.abandon()
