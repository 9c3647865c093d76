"""Recommendations: sensible for the textbook cases, sized to the budget, every reason sourced."""

import pytest

from tuner.errors import Invalid, UnknownName
from tuner.optimizers.recommend import MOST, SEEDS, TRIALS_EACH, recommend
from tuner.optimizers.registry import ENTRIES
from tuner.optimizers.rules import OURS, RULES
from tuner.optimizers.situation import MODELS, Situation, read
from tuner.tasks.filling import fill
from tuner.tasks.registry import DATASETS


def names(**given):
    found = recommend(read({"trials": 60, **given}))
    return [item["name"] for item in found["optimizers"]]


def test_every_rule_names_an_optimizer_models_and_a_source():
    for rule in RULES:
        assert rule.optimizer in ENTRIES
        assert rule.models <= set(MODELS)
        assert rule.source
        assert rule.text[-1] not in "."
        assert rule.points is None or rule.points != 0


def test_every_rule_holds_somewhere_and_not_everywhere():
    situations = [
        Situation(model, examples, params, batch, trials)
        for model in MODELS
        for examples in (None, 200, 1_000_000)
        for params in (None, 1e3, 1e9)
        for batch in (None, 64, 8192)
        for trials in (5, 90)
    ]
    always = {"adamw", "adam", "nesterov"}
    for rule in RULES:
        held = [rule.holds(s) for s in situations]
        assert any(held), rule
        assert not all(held) or rule.optimizer in always, rule


@pytest.mark.parametrize(
    ("given", "first", "among"),
    [
        ({"model": "cnn", "examples": 50_000}, "nesterov", {"adamw", "momentum"}),
        ({"model": "transformer", "examples": 10**6}, "adamw", {"muon", "lion"}),
        ({"model": "lstm", "examples": 10**5}, "adam", {"rmsprop"}),
        ({"model": "linear", "examples": 500, "batch": "full"}, "lbfgs", {"newton_cg"}),
        ({"model": "mlp", "examples": 500, "batch": "full"}, "lbfgs", {"adamw", "nesterov"}),
        ({"model": "autoencoder", "examples": 1500, "params": 1e5}, "nesterov", {"newton_cg"}),
        ({"model": "transformer", "examples": 10**7, "batch": 32768}, "adamw", {"lamb"}),
        ({"model": "other", "examples": 10**7, "params": 1e9}, "adafactor", {"lion"}),
        ({"model": "linear", "examples": 10**7}, "sgd", {"adamw"}),
    ],
)
def test_the_textbook_cases(given, first, among):
    found = names(**given)
    assert found[0] == first
    assert among <= set(found)


def test_curvature_is_left_out_where_the_whole_set_is_too_large_and_said_why():
    assert not {"lbfgs", "newton_cg"} & set(names(model="linear", examples=10**7, batch=256))
    found = recommend(read({"model": "linear", "examples": 10**7, "batch": 256}))
    assert {"lbfgs", "newton_cg"} <= {item["name"] for item in found["left_out"]}
    assert all("whole training set" in i["text"] for i in found["left_out"] if i["name"] != "sam")
    assert recommend(read({"model": "mlp", "examples": 500}))["left_out"] == []


def test_reasons_say_what_is_judgement():
    for model in MODELS:
        for item in recommend(Situation(model))["optimizers"]:
            assert item["reasons"]
            for reason in item["reasons"]:
                assert reason["judgement"] == (reason["source"] == OURS)


@pytest.mark.parametrize("trials", [1, 9, 15, 29, 30, 44, 60, 75, 200, 5000])
@pytest.mark.parametrize("model", MODELS)
def test_the_study_keeps_within_the_trials(model, trials):
    study = recommend(Situation(model, trials=trials))["study"]
    chosen = study["space"]["optimizers"]["names"]
    assert len(chosen) <= min(MOST, max(1, trials // TRIALS_EACH))
    if "compare" not in study:
        assert len(chosen) == 1
        assert study["budget"] == {"trials": trials}
    else:
        each = study["compare"]["trials"] + study["compare"]["seeds"]
        assert each * len(chosen) <= trials
        assert study["compare"]["trials"] >= TRIALS_EACH - SEEDS


def test_seconds_are_divided():
    study = recommend(Situation("mlp", seconds=1000))["study"]
    n = len(study["space"]["optimizers"]["names"])
    assert study["compare"] == {"seconds": pytest.approx(800 / n, abs=1e-3), "seeds": SEEDS}


def test_small_comparisons_take_one_of_each_family():
    found = names(model="cnn", trials=45)
    assert len({"sgd", "momentum", "nesterov"} & set(found)) == 1
    assert len({"adam", "adamw", "nadam"} & set(found)) == 1


def test_recurrent_networks_are_clipped_and_transformers_warmed_up():
    def settings(model):
        return {row["key"]: row["value"] for row in recommend(Situation(model))["settings"]}

    assert settings("gru") == {"clip_norm": 1.0}
    assert settings("transformer") == {"warmup": 0.05, "schedule": "cosine"}
    assert settings("mlp") == {}


def test_batch_sizes_go_to_those_that_take_mini_batches():
    found = recommend(read({**fill({"dataset": "digits", "model": "mlp"}), "batch": 128}))
    parameters = found["study"]["space"]["parameters"]
    assert parameters["adamw.batch_size"]["value"] == 128
    assert "lbfgs" in found["study"]["space"]["optimizers"]["names"]
    assert "lbfgs.batch_size" not in parameters


def test_a_data_set_fills_in_what_it_knows():
    assert fill({"dataset": "digits", "trials": None}) == {
        "dataset": "digits",
        "model": "cnn",
        "examples": 1438,
    }
    assert fill({"dataset": "wine"})["model"] == "mlp"
    assert fill({"model": "cnn", "examples": None}) == {"model": "cnn"}
    for name in DATASETS:
        assert read(fill({"dataset": name})).dataset == name


@pytest.mark.parametrize(
    ("given", "path", "error"),
    [
        ({"model": "cnm"}, "model", UnknownName),
        ({}, "model", Invalid),
        ({"model": "mlp", "examples": "0"}, "examples", Invalid),
        ({"model": "mlp", "examples": "1.5"}, "examples", Invalid),
        ({"model": "mlp", "params": "-1"}, "params", Invalid),
        ({"model": "mlp", "params": "many"}, "params", Invalid),
        ({"model": "mlp", "batch": "half"}, "batch", Invalid),
        ({"model": "mlp", "trials": True}, "trials", Invalid),
        ({"model": "mlp", "seconds": "inf"}, "seconds", Invalid),
        ({"model": "mlp", "gpus": "nan"}, "gpus", Invalid),
        ({"modle": "mlp"}, "modle", UnknownName),
        ({"dataset": "digit"}, "dataset", UnknownName),
        ({"dataset": "wine", "model": "cnn"}, "model", Invalid),
    ],
)
def test_a_wrong_question_is_refused_with_its_place(given, path, error):
    with pytest.raises(error) as caught:
        read(fill(given))
    assert caught.value.errors[0].path == path


def test_texts_and_numbers_mean_the_same():
    given = {"model": "mlp", "examples": "5e4", "params": "1.2e6", "batch": "full", "gpus": "0.5"}
    assert read(given) == Situation("mlp", 50_000, 1.2e6, None, gpus=0.5)
    assert read({"model": "mlp"}).batch == 64
