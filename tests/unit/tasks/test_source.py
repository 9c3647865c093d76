"""Tasks on data, models and losses of the user's own: what is refused before anything starts."""

import pytest

from tuner.errors import Invalid, InvalidMetric, UnknownName
from tuner.tasks import source
from tuner.tasks.check import check_metric, check_study, check_values, complete, validate

OPTIMIZERS = {"sgd": ("lr",), "adam": ("lr", "beta1")}
OWN = {"model": "nets:build", "data": "jobs.data:load"}
FLOAT = {"type": "float", "low": 0.1, "high": 0.5}
INT = {"type": "int", "low": 1, "high": 5}


def mistake(kind, function, *args):
    with pytest.raises(kind) as caught:
        function(*args)
    return caught.value


@pytest.mark.parametrize(
    "task",
    [
        OWN,
        {**OWN, "loss": "jobs:loss", "metric": "jobs:f1", "reads": ["kernel", "width2"]},
        {**OWN, "reads": {"kernel": 3, "pool": "max", "wide": False}, "kind": "regression"},
        {"dataset": "digits", "model": "nets:build", "width": 32},
        {"dataset": "cars.csv", "target": "price", "kind": "regression", "standardise": "inputs"},
        {"dataset": "data/cars.parquet", "model": "linear", "label_smoothing": 0.1},
        {"dataset": "series.npz", "model": "gru"},
        {"dataset": "photos/", "model": "cnn", "image_size": 16},
        {"dataset": "torchvision:CIFAR10", "model": "cnn", "root": "sets", "download": True},
    ],
)
def test_a_task_of_ones_own_keeps_its_keys(task):
    assert validate(task) == task
    assert {**complete(task), **task} == complete(task)


@pytest.mark.parametrize(
    ("task", "path", "said"),
    [
        ({"model": "nets:build"}, "dataset", "is missing"),
        ({**OWN, "dataset": "digits"}, "data", "not both"),
        ({**OWN, "data": "jobs.data"}, "data", "an entrypoint"),
        ({**OWN, "loss": "mse"}, "loss", "an entrypoint"),
        ({**OWN, "metric": "a:b:c"}, "metric", "an entrypoint"),
        ({"dataset": "digits", "model": "nets:"}, "model", "no model is named"),
        ({"dataset": "digits.txt"}, "dataset", "no dataset is named"),
        ({"dataset": "digits", "target": "y"}, "target", "goes with data from"),
        ({"dataset": "digits", "kind": "regression"}, "kind", "goes with data from"),
        ({"dataset": "x.csv", "image_size": 8}, "image_size", "goes with data from"),
        ({"dataset": "x.csv", "download": True}, "download", "goes with data from"),
        ({"dataset": "torchvision:MNIST", "download": "yes"}, "download", "true or false"),
        ({"dataset": "x.csv", "kind": "ranking"}, "kind", "no kind is named"),
        ({"dataset": "x.csv", "model": "cnn"}, "model", "takes images only"),
        ({"dataset": "a/b", "kind": "regression"}, "kind", "has classes"),
        ({**OWN, "reads": "kernel"}, "reads", "list of names"),
        ({**OWN, "reads": [3]}, "reads", "not a plain name"),
        ({**OWN, "reads": ["a.b"]}, "reads", "not a plain name"),
        ({**OWN, "reads": ["width"]}, "reads.width", "option of every task"),
        ({**OWN, "reads": {"kernel": [3]}}, "reads.kernel", "a number or a text"),
        ({"dataset": "digits", "reads": ["kernel"]}, "reads", "of your own"),
        (
            {**OWN, "kind": "regression", "label_smoothing": 0.1},
            "label_smoothing",
            "needs classes",
        ),
        ({**OWN, "loss": "a:b", "label_smoothing": 0.1}, "label_smoothing", "built-in loss"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_path(task, path, said):
    error = mistake(Invalid, validate, task)
    assert error.errors[0].path == f"trial.task.{path}"
    assert said in str(error)


def test_a_mistyped_name_is_not_taken_for_a_file():
    error = mistake(UnknownName, validate, {"dataset": "digit"})
    assert error.errors[0].nearest == "digits"


@pytest.mark.parametrize(
    ("task", "origin", "kind", "images"),
    [
        ({"dataset": "digits"}, "registry", "classification", True),
        ({"dataset": "diabetes"}, "registry", "regression", False),
        ({"dataset": "x.csv"}, "csv", None, False),
        ({"dataset": "x.parquet", "kind": "regression"}, "parquet", "regression", False),
        ({"dataset": "a/x.npz"}, "npz", None, None),
        ({"dataset": "photos/"}, "folder", "classification", True),
        ({"dataset": "torchvision:MNIST"}, "torchvision", None, True),
        ({"data": "a:b"}, "own", None, None),
    ],
)
def test_what_is_known_before_the_data_are_read(task, origin, kind, images):
    assert source.origin(task) == origin
    assert source.kind(task) == kind
    assert source.has_images(task) is images


def test_the_paths_that_must_be_there():
    assert source.paths({"dataset": "digits"}) == source.paths(OWN) == {}
    assert source.paths({"dataset": "a/x.csv"}) == {"dataset": "a/x.csv"}
    tv = {"dataset": "torchvision:MNIST"}
    assert source.paths(tv) == {"root": "."}
    assert source.paths({**tv, "download": True}) == {}


def test_parameters_that_own_code_reads_are_declared_and_typos_are_found():
    task = {**OWN, "reads": ["kernel"]}
    check_study(task, {"adam.lr": FLOAT, "kernel": INT, "width": INT}, OPTIMIZERS)
    check_study(task, {"adam.kernel": INT}, OPTIMIZERS)
    error = mistake(UnknownName, check_study, task, {"kernl": INT}, OPTIMIZERS)
    assert error.errors[0].nearest == "kernel"
    assert "trial.task.reads" in error.hint
    error = mistake(UnknownName, check_study, {"dataset": "wine"}, {"kernel": INT}, OPTIMIZERS)
    assert not error.hint


@pytest.mark.parametrize("name", ["data", "loss", "metric", "kind", "target", "root", "download"])
def test_what_only_the_task_says_is_no_parameter(name):
    space = {name: {"type": "categorical", "choices": ["a:b", "c:d"]}}
    error = mistake(UnknownName, check_study, OWN, space, OPTIMIZERS)
    assert error.errors[0].path == f"space.parameters.{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "nets:other"), ("dataset", "secret.csv"), ("dataset", "torchvision:MNIST")],
)
def test_code_and_files_stand_in_the_task_not_in_the_space(name, value):
    """A worker's rights are checked against the task."""
    space = {name: {"type": "categorical", "choices": ["mlp", value][name == "dataset" :]}}
    error = mistake(Invalid, check_values, {"dataset": "digits"}, space)
    assert "only registered names" in str(error)


def test_metrics_that_only_the_data_or_own_code_know_are_not_refused():
    at = "objectives[0].metric"
    for task in (OWN, {"dataset": "x.csv"}):
        check_metric("val_accuracy", task, at)
        assert mistake(InvalidMetric, check_metric, "val_f1", task, at)
    check_metric("val_f1", {**OWN, "metric": "jobs:f1"}, at)
    assert mistake(InvalidMetric, check_metric, "f1", {**OWN, "metric": "jobs:f1"}, at)
    known = {**OWN, "kind": "regression"}
    assert mistake(InvalidMetric, check_metric, "val_accuracy", known, at)
