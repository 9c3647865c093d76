"""What a task and its space may be."""

import json

import pytest

from tuner.errors import Invalid, InvalidMetric, UnknownName
from tuner.tasks.check import (
    check_metric,
    check_parameters,
    check_study,
    check_values,
    complete,
    known_names,
    metrics,
    parse,
    validate,
)
from tuner.tasks.metrics import CONFIRMATION_ONLY
from tuner.tasks.registry import DATASETS, MODELS, OPTIONS, describe_tasks
from tuner.tasks.source import SOURCE_OPTIONS

DIGITS = {"dataset": "digits", "model": "mlp"}
OPTIMIZERS = {"sgd": ("lr", "weight_decay"), "adam": ("lr", "beta1", "weight_decay")}


def mistake(kind, function, *args):
    with pytest.raises(kind) as caught:
        function(*args)
    assert caught.value.errors
    return caught.value.errors[0]


def test_a_checked_task_keeps_its_keys():
    assert validate({**DIGITS, "epochs": 3.0, "dropout": 0}) == {
        "dataset": "digits",
        "model": "mlp",
        "epochs": 3,
        "dropout": 0.0,
    }


def test_a_complete_task_has_every_default_but_those_that_are_absent():
    full = complete(DIGITS)
    absent = {
        "weight_decay",
        "clip_norm",
        "patience",
        "momentum_low",
        *(o.name for o in SOURCE_OPTIONS),
    }
    assert set(full) == set(OPTIONS) - absent
    assert full["epochs"] == 27
    assert full == complete(full)


@pytest.mark.parametrize("option", list(OPTIONS.values()), ids=list(OPTIONS))
def test_every_default_is_legal_and_every_option_documented(option):
    assert option.doc.endswith(".")
    assert option.default is None or option.accepts(option.default)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", "3"),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("warmup", 0.6),
        ("batch_size", 0),
        ("seed", -1),
        ("schedule", 3),
        ("clip_norm", 0.0),
        ("label_smoothing", 1.0),
        ("patience", 0),
        ("lr_drops", 0),
    ],
)
def test_an_illegal_value_is_answered_with_its_path_and_what_is_allowed(key, value):
    found = mistake(Invalid, validate, {**DIGITS, key: value})
    assert found.path == f"trial.task.{key}"
    assert found.allowed == OPTIONS[key].allowed


@pytest.mark.parametrize(
    ("task", "path", "nearest"),
    [
        ({"dataset": "digit"}, "trial.task.dataset", "digits"),
        ({**DIGITS, "model": "mpl"}, "trial.task.model", "mlp"),
        ({**DIGITS, "epoch": 3}, "trial.task.epoch", "epochs"),
        ({**DIGITS, "schedule": "cosin"}, "trial.task.schedule", "cosine"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(task, path, nearest):
    found = mistake(UnknownName, validate, task)
    assert (found.path, found.nearest) == (path, nearest)


def test_the_tasks_optimizer_is_checked_where_the_known_ones_are_given():
    task = {**DIGITS, "optimizer": "adan"}
    assert validate(task)["optimizer"] == "adan"
    found = mistake(UnknownName, validate, task, "trial.task", OPTIMIZERS)
    assert (found.path, found.nearest) == ("trial.task.optimizer", "adam")


def test_label_smoothing_needs_classes():
    smooth = {"label_smoothing": {"type": "float", "low": 0.0, "high": 0.2}}
    either = {"dataset": {"type": "categorical", "choices": ["digits", "diabetes"]}}
    check_values(DIGITS, smooth)
    assert validate({"dataset": "diabetes", "label_smoothing": 0.0})
    task = {"dataset": "diabetes", "label_smoothing": 0.1}
    assert mistake(Invalid, validate, task).path == "trial.task.label_smoothing"
    found = mistake(Invalid, check_values, {"dataset": "diabetes"}, smooth)
    assert found.path == "space.parameters.label_smoothing"
    found = mistake(Invalid, check_values, {**DIGITS, "label_smoothing": 0.1}, either)
    assert (found.path, found.found) == ("trial.task.label_smoothing", "diabetes")


def test_a_generated_data_set_has_a_size_within_bounds():
    task = {"dataset": "generated_classification", "examples": 45, "classes": 15}
    assert validate(task) == task
    assert validate({**task, "examples": 30, "test": 0.0})
    for wrong in ({"classes": 16}, {"examples": 10_000_000, "features": 26}):
        found = mistake(Invalid, validate, {**task, **wrong})
        assert found.path == "trial.task.examples"
    assert {"examples", "classes"} <= known_names(task)
    assert "classes" not in known_names({"dataset": "generated_regression"})
    assert not {"examples", "features"} & known_names(DIGITS)
    check_parameters(DIGITS, ["dataset", "examples"], OPTIMIZERS)


def test_a_data_set_is_required():
    assert mistake(Invalid, validate, {"model": "mlp"}).path == "trial.task.dataset"


def test_a_model_for_images_refuses_a_table():
    found = mistake(Invalid, validate, {"dataset": "wine", "model": "cnn"})
    assert (found.path, found.allowed) == ("trial.task.model", ["mlp", "linear", "autoencoder"])


def test_the_short_text_of_a_task():
    assert parse("digits/cnn") == {"dataset": "digits", "model": "cnn"}
    assert parse("wine") == {"dataset": "wine"}
    assert mistake(Invalid, parse, "digits/mlp/3").path == "trial.task"


def test_known_names_are_those_of_the_tasks_model():
    assert {"width", "depth", "batch_size"} <= known_names(DIGITS)
    assert not {"channels", "heads"} & known_names(DIGITS)
    assert not {"width", "norm"} & known_names({"dataset": "digits", "model": "linear"})
    assert "channels" in known_names({"dataset": "digits", "model": "cnn"})


def test_a_metric_must_be_reported_whatever_data_set_a_trial_chooses():
    either = {"dataset": {"type": "categorical", "choices": ["digits", "diabetes"]}}
    assert "val_accuracy" not in metrics(DIGITS, either)
    check_metric("val_accuracy", DIGITS, "objectives[0].metric")
    found = mistake(InvalidMetric, check_metric, "vall_loss", DIGITS, "objectives[0].metric")
    assert (found.path, found.nearest) == ("objectives[0].metric", "val_loss")
    with pytest.raises(InvalidMetric):
        check_metric("val_accuracy", DIGITS, "objectives[0].metric", either)


@pytest.mark.parametrize("metric", ["test_loss", "test_accuracy"])
def test_a_search_is_not_led_by_the_test_set(metric):
    found = mistake(InvalidMetric, check_metric, metric, DIGITS, "objectives[0].metric")
    assert found.nearest == metric.replace("test", "val")
    with pytest.raises(InvalidMetric, match="confirmation") as caught:
        check_metric(metric, {"dataset": "diabetes"}, "constraints[0].metric")
    assert "tuner study confirm" in caught.value.hint
    assert caught.value.errors[0].nearest in (None, "val_loss")


def test_the_held_out_shares_leave_examples_to_train_on():
    assert validate({**DIGITS, "validation": 0.5, "test": 0.4})
    found = mistake(Invalid, validate, {**DIGITS, "validation": 0.5, "test": 0.5})
    assert found.path == "trial.task.validation"
    space = {"test": {"type": "float", "low": 0.1, "high": 0.45}}
    check_values(DIGITS, space)
    found = mistake(Invalid, check_values, {**DIGITS, "validation": 0.5}, space)
    assert found.path == "trial.task.validation"
    found = mistake(
        Invalid,
        check_values,
        DIGITS,
        {
            "adam.validation": {"type": "fixed", "value": 0.5},
            "test": {"type": "fixed", "value": 0.5},
        },
    )
    assert found.path == "space.parameters.adam.validation"


def test_a_study_is_checked_against_the_optimizers_that_it_may_choose():
    space = {"lr": {"type": "float", "low": 1e-4, "high": 1.0}}
    beta = {"beta1": {"type": "float", "low": 0.5, "high": 0.9}}
    only_sgd = {"optimizer": {"type": "fixed", "value": "sgd"}}
    assert check_study(DIGITS, space, OPTIMIZERS) == DIGITS
    check_study(DIGITS, space | beta, OPTIMIZERS)
    found = mistake(UnknownName, check_study, DIGITS, only_sgd | space | beta, OPTIMIZERS)
    assert found.path == "space.parameters.beta1"
    check_study(DIGITS | {"optimizer": "sgd"}, space, OPTIMIZERS)
    with pytest.raises(UnknownName):
        check_study(DIGITS | {"optimizer": "sgd"}, beta, OPTIMIZERS)


def test_a_metric_of_diagnostics_must_be_reported_by_every_trial():
    at = "objectives[0].metric"
    for metric in ("steps", "seconds", "peak_memory_mb", "grad_norm"):
        check_metric(metric, DIGITS, at)
    refused = [
        ("update_ratio.0.weight", "`diagnostics: full`"),
        ("grad_noise_scale", "constrained"),
    ]
    for metric, hint in refused:
        with pytest.raises(InvalidMetric) as caught:
            check_metric(metric, DIGITS, at)
        assert hint in caught.value.hint
    check_metric("grad_noise_scale", DIGITS, at, sometimes=True)
    full = DIGITS | {"diagnostics": "full"}
    check_metric("update_ratio.0.weight", full, at, sometimes=True)
    with pytest.raises(InvalidMetric):
        check_metric("update_ratio.", full, at, sometimes=True)
    with pytest.raises(InvalidMetric):
        check_metric("update_ratio.0.weight", full, at)


def test_without_diagnostics_only_progress_is_reported():
    off = DIGITS | {"diagnostics": "none"}
    assert {"steps", "seconds", "best_step"} <= set(metrics(off))
    with pytest.raises(InvalidMetric) as caught:
        check_metric("peak_memory_mb", off, "constraints[0].metric")
    assert "`diagnostics: basic`" in caught.value.hint
    either = {"diagnostics": {"type": "categorical", "choices": ["none", "full"]}}
    assert metrics(DIGITS, either) == metrics(off)


def test_accuracy_is_a_metric_of_classification_only():
    assert {"train_accuracy", "val_accuracy"} <= set(metrics(DIGITS))
    assert not CONFIRMATION_ONLY & set(metrics(DIGITS, sometimes=True))
    assert "val_accuracy" not in metrics({"dataset": "diabetes"})


def test_an_autoencoder_has_no_classes():
    task = {"dataset": "digits", "model": "autoencoder", "code": 4}
    assert validate(task) == task
    assert metrics(task) == metrics({"dataset": "diabetes"})
    either = {"model": {"type": "categorical", "choices": ["mlp", "autoencoder"]}}
    assert metrics(DIGITS, either) == metrics(task)
    with pytest.raises(InvalidMetric):
        check_metric("val_accuracy", task, "objectives[0].metric")
    found = mistake(Invalid, validate, {**task, "label_smoothing": 0.1})
    assert (found.path, found.found) == ("trial.task.label_smoothing", "autoencoder")
    found = mistake(Invalid, check_values, {**DIGITS, "label_smoothing": 0.1}, either)
    assert found.path == "trial.task.label_smoothing"
    assert "code" not in known_names(DIGITS)


@pytest.mark.parametrize(
    "names",
    [
        ["optimizer", "sgd.lr", "adam.beta1", "batch_size", "dropout"],
        ["lr", "weight_decay", "sgd.weight_decay"],
        ["adam.batch_size", "seed"],
        ["model", "channels", "width"],
    ],
)
def test_parameters_that_the_task_or_an_optimizer_reads_are_taken(names):
    check_parameters(DIGITS, names, OPTIMIZERS)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("batchsize", "batch_size"),
        ("adam.beta", "adam.beta1"),
        ("channels", None),
        ("sgd.beta1", None),
        ("rmsprop.lr", None),
    ],
)
def test_a_parameter_that_nothing_reads_is_refused(name, nearest):
    found = mistake(UnknownName, check_parameters, DIGITS, ["lr", name], OPTIMIZERS)
    assert found.path == f"space.parameters.{name}"
    assert found.found == name
    if nearest:
        assert found.nearest == nearest


@pytest.mark.parametrize(
    ("name", "parameter", "path"),
    [
        ("dropout", {"type": "float", "low": 0.0, "high": 1.0}, "dropout.high"),
        ("batch_size", {"type": "int", "low": 0, "high": 64}, "batch_size.low"),
        ("batch_size", {"type": "float", "low": 1.0, "high": 64.0}, "batch_size.type"),
        ("schedule", {"type": "categorical", "choices": ["cosine", "cos"]}, "schedule.choices[1]"),
        ("epochs", {"type": "fixed", "value": 0}, "epochs.value"),
        ("adam.warmup", {"type": "float", "low": 0.0, "high": 0.9}, "adam.warmup.high"),
        ("model", {"type": "categorical", "choices": ["mlp", "vgg"]}, "model.choices[1]"),
        ("optimizer", {"type": "fixed", "value": "adan"}, "optimizer.value"),
    ],
)
def test_a_range_that_cannot_be_trained_is_refused(name, parameter, path):
    found = mistake(Invalid, check_values, DIGITS, {name: parameter}, OPTIMIZERS)
    assert found.path == f"space.parameters.{path}"


def test_every_pair_of_data_set_and_model_in_the_space_must_fit():
    space = {"model": {"type": "categorical", "choices": ["mlp", "cnn"]}}
    check_values(DIGITS, space)
    assert mistake(Invalid, check_values, {"dataset": "wine"}, space).found == "cnn"


def test_legal_ranges_are_taken():
    check_values(
        DIGITS,
        {
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
            "adam.lr": {"type": "float", "low": 1e-5, "high": 1e-2},
            "batch_size": {"type": "int", "low": 16, "high": 256},
            "dropout": {"type": "float", "low": 0.0, "high": 0.6},
            "width": {"type": "categorical", "choices": [16, 64]},
            "schedule": {"type": "categorical", "choices": ["constant", "cosine"]},
        },
        OPTIMIZERS,
    )


def test_the_listing_is_json_and_names_everything():
    listing = json.loads(json.dumps(describe_tasks(), allow_nan=False))
    assert [item["name"] for item in listing["datasets"]] == list(DATASETS)
    assert [item["name"] for item in listing["models"]] == list(MODELS)
    assert [item["name"] for item in listing["options"]] == list(OPTIONS)
    wine = next(item for item in listing["datasets"] if item["name"] == "wine")
    assert wine["models"] == ["mlp", "linear", "autoencoder"]
