"""Studies are created: written out, warned of, refused, found again; on both databases."""

from __future__ import annotations

import pytest

from tuner.errors import Invalid, StudyExists, StudyNotFound


def test_creating_answers_the_study_written_out(service):
    answer = service.run(service.manager.create_study(service.body(name="written-out")))
    assert answer.status == 201
    assert answer.body["objectives"] == [
        {"metric": "loss", "direction": "minimize", "from": "last"}
    ]
    assert answer.body["sampler"] == {"name": "random", "seed": 0}
    assert answer.body["counts"] == dict.fromkeys(
        ("waiting", "running", "complete", "pruned", "fail"), 0
    )
    assert answer.body["state"] == "active"
    assert answer.body["best"] is None
    assert answer.body == service.study("written-out")


def test_a_dry_run_shows_the_expanded_space_and_stores_nothing(service):
    body = service.body(name="dry", space={"optimizers": ["sgd", "adam"]})
    answer = service.run(service.manager.create_study(body, dry_run=True))
    assert answer.status == 200
    assert answer.body["space"] == {
        "optimizers": {"names": ["sgd", "adam"]},
        "parameters": {},
    }
    assert "adam.lr" in answer.body["expanded_space"]["parameters"]
    with pytest.raises(StudyNotFound):
        service.study("dry")


def test_a_creation_warns_of_what_is_hardly_meant_and_the_study_does_not(service):
    body = service.body(
        name="warned",
        objective="val_loss",
        space={"optimizers": ["adam", "lbfgs"]},
        trial={"task": {"dataset": "digits", "batch_size": 32}},
    )
    dry, first, again = (
        service.run(service.manager.create_study(body, dry_run=dry))
        for dry in (True, False, False)
    )
    assert [dry.status, first.status, again.status] == [200, 201, 200]
    (warning,) = first.body["warnings"]
    assert "lbfgs is meant for the whole training set (about 1078 examples)" in warning
    assert dry.body["warnings"] == again.body["warnings"] == [warning]
    assert "warnings" not in service.study("warned")


@pytest.mark.parametrize("trial", [{}, {"trial": {"command": ["python", "train.py"]}}])
@pytest.mark.parametrize(
    ("name", "near"), [("sgd.momentum", None), ("sgd.weight_decy", "weight_decay")]
)
def test_a_parameter_that_an_optimizer_does_not_have_is_refused_for_own_code_too(
    service, trial, name, near
):
    added = {name: {"type": "float", "low": 0, "high": 0.9}}
    space = {"optimizers": ["sgd"], "parameters": added}
    body = service.body(name="another-optimizers", space=space, **trial)
    with pytest.raises(Invalid) as caught:
        service.run(service.manager.create_study(body, dry_run=True))
    (field,) = caught.value.errors
    assert (field.path, field.nearest) == (f"space.parameters.{name}", near)
    assert field.allowed == ["lr", "weight_decay"]
    assert "lr, weight_decay" in str(caught.value)


def test_a_mistake_in_a_short_space_has_the_path_that_was_written(service):
    number = {"type": "float", "low": 0, "high": 1}
    wrong = {"x": {**number, "when": {"y": ["a"]}}}
    found = {}
    for path, space in {"space": wrong, "space.parameters": {"parameters": wrong}}.items():
        with pytest.raises(Invalid) as caught:
            service.run(service.manager.create_study(service.body(space=space), dry_run=True))
        found[path] = caught.value
    for path, error in found.items():
        assert error.errors[0].path == f"{path}.x.when.y"
        assert error.message.startswith(f"{path}.x.when.y")


def test_own_code_may_read_names_of_its_own_and_those_of_tasks(service):
    names = ["sgd.noise", "sgd.batch_size", "sgd.warmup", "my.momentum", "width"]
    added = {name: {"type": "float", "low": 0, "high": 0.9} for name in names}
    body = service.body(name="own-names", space={"optimizers": ["sgd"], "parameters": added})
    assert service.run(service.manager.create_study(body, dry_run=True)).status == 200


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ({"decay_on": "weights", "weight_decay": 0.1}, "trial.task.decay_on"),
        ({"precision": "bfloat16"}, "trial.task.precision"),
        ({"precision": "float16", "optimizer": "adam"}, "trial.task.precision"),
        ({"validation": 0.5, "test": 0.5}, "trial.task.validation"),
        ({"model": "autoencoder", "label_smoothing": 0.1}, "trial.task.label_smoothing"),
    ],
)
def test_a_task_that_cannot_be_trained_is_refused_at_creation(service, task, path):
    chosen = {"type": "fixed", "value": task.pop("optimizer", "lbfgs")}
    body = service.body(
        objective="val_loss",
        space={"optimizer": chosen, "width": {"type": "int", "low": 8, "high": 16}},
        trial={"task": {"dataset": "digits", **task}},
    )
    with pytest.raises(Invalid) as caught:
        service.run(service.manager.create_study(body))
    assert caught.value.errors[0].path == path


def test_the_same_specification_again_finds_the_study_and_another_is_refused(service):
    body = service.body(tags={"team": "a"})
    assert service.run(service.manager.create_study(body)).status == 201
    longer = {**body, "sampler": {"name": "random"}, "objectives": [{"metric": "loss"}]}
    del longer["objective"]
    again = service.run(service.manager.create_study(longer))
    assert again.status == 200
    with pytest.raises(StudyExists, match="tags"):
        service.run(service.manager.create_study({**body, "tags": {"team": "b"}}))


def test_the_same_specification_is_the_study_as_it_now_stands(service):
    name = service.new_study(budget={"trials": 3})
    service.change(name, budget={"trials": 5}, tags={"a": 1})
    now = service.body(name=name, budget={"trials": 5}, tags={"a": 1})
    assert service.run(service.manager.create_study(now)).status == 200
    with pytest.raises(StudyExists, match="budget"):
        service.run(service.manager.create_study(service.body(name=name, tags={"a": 1})))


def test_concurrent_equal_creations_make_one_study(service):
    body = service.body()
    answers = service.together(*(service.manager.create_study(body) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]


def test_mistakes_are_found_at_creation_with_their_path(service):
    for fields, path in (
        ({"sampler": "randm"}, "sampler.name"),
        ({"pruner": {"name": "asha", "metric": "acc"}}, "pruner.metric"),
        ({"trial": {"task": {"dataset": "digits", "model": "mlpp"}}}, "trial.task.model"),
        ({"trial": {"command": ["x", "{y}"]}}, "trial.command[1]"),
        ({"space": {"optimizers": ["sgdd"]}}, "space.optimizers[0]"),
        ({"budget": {"trials": 0}}, "budget.trials"),
    ):
        with pytest.raises(Invalid) as caught:
            service.run(service.manager.create_study(service.body(**fields)))
        assert caught.value.errors[0].path == path


def test_a_task_without_optimizers_to_choose_trains_its_own(service):
    task = {"dataset": "digits", "model": "mlp"}
    space = {"lr": {"type": "float", "low": 1e-4, "high": 0.1}}
    fields = {"objective": ["val_loss", "minimize"], "space": space, "trial": {"task": task}}
    assert service.run(service.manager.create_study(service.body(**fields))).status == 201
    fields["space"] = space | {"momentum": {"type": "float", "low": 0, "high": 1}}
    with pytest.raises(Invalid, match="momentum"):
        service.run(service.manager.create_study(service.body(**fields)))
    fields["trial"] = {"task": task | {"optimizer": "momentum"}}
    assert service.run(service.manager.create_study(service.body(**fields))).status == 201


def test_a_metric_must_be_one_of_every_data_set_that_a_trial_may_choose(service):
    fields = {
        "objective": ["val_accuracy", "maximize"],
        "space": {"dataset": {"type": "categorical", "choices": ["wine", "diabetes"]}},
        "trial": {"task": {"dataset": "wine"}},
    }
    with pytest.raises(Invalid) as caught:
        service.run(service.manager.create_study(service.body(**fields)))
    assert caught.value.errors[0].path == "objectives[0].metric"
