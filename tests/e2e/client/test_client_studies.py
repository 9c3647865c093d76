"""Studies through the client, against a real server and a real file."""

import asyncio
import threading

import pandas
import pytest

import tuner
from tuner.errors import (
    BudgetSpent,
    Conflict,
    Invalid,
    InvalidParameter,
    ObjectiveFailed,
    StudyExists,
    StudyNotFound,
)


def test_ask_report_tell_and_what_can_be_read_after(client, name, tmp_path, new_study):
    study = new_study(client, name)
    assert study.best is None
    seen = []
    while (trial := study.ask()) is not None:
        assert set(trial.params) == {"x", "n"}
        trial.report(1, loss=trial.params["x"], epoch_s=0.5)
        trial.log("one line")
        seen.append(trial.tell(trial.params["x"]))
    assert [told["number"] for told in seen] == list(range(8))
    best = min(seen, key=lambda told: told["values"]["loss"])
    assert study.best == best
    assert study.state == "finished"
    assert study.trials(states=["complete"]) == seen
    assert study.trials(states="fail") == []
    assert study.measurements(0) == [
        {"attempt": 1, "step": 1, "values": {"loss": seen[0]["params"]["x"], "epoch_s": 0.5}}
    ]
    assert client.rest.trial_log(name, 0)["items"][0]["text"] == "one line\n"
    frame = study.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["values.loss"]) == [told["values"]["loss"] for told in seen]
    assert len(study.export(path=tmp_path / "t.jsonl").splitlines()) == 8
    assert study.export(path=tmp_path / "t.csv").startswith("number,")
    assert study.report(path=tmp_path / "r.md").startswith("# ")
    assert (tmp_path / "t.jsonl").read_text().count("\n") == 8
    assert name in [each.name for each in client.studies()]


def test_a_creation_warns_of_what_is_hardly_meant(client, name):
    space = tuner.space.optimizers("lbfgs") | {"batch_size": tuner.Fixed(16)}
    given = {"space": space, "objective": "val_loss", "trial": {"task": {"dataset": "wine"}}}
    with pytest.warns(UserWarning, match=r"batch_size: lbfgs is meant for the whole"):
        client.create_study(name, **given)
    with pytest.warns(UserWarning, match="lbfgs"):
        again = client.create_study(name, **given, exist_ok=True)
    again.delete()


def test_studies_of_the_same_optimizers_are_compared(client, name):
    space = {"optimizers": {"names": ["sgd", "adam"], "size": "small"}}
    studies = [
        client.create_study(f"{name}-{task}", space=space, objective="loss") for task in (1, 2)
    ]
    done = [
        {"params": {"optimizer": o, f"{o}.lr": 0.01}, "values": {"loss": loss}}
        for o, loss in (("sgd", 0.5), ("adam", 0.4))
    ]
    for study in studies:
        study.import_trials(done)
    found = client.compare(studies)
    assert found["ranks"][0]["optimizer"] == "adam"
    assert found == client.compare([study.name for study in studies])
    assert client.compare([studies[0].name], "md").startswith("# Comparison of 2 optimizers")
    with pytest.raises(StudyNotFound):
        client.compare([studies[0], "nobody"])
    with pytest.raises(Invalid):
        client.compare([])


def test_optimize_here_runs_to_the_number_asked_for_then_to_the_budget(
    client, name, new_study, objective
):
    study = new_study(client, name)
    ended = []
    study.optimize(objective, trials=3, progress=ended.append)
    assert [trial["number"] for trial in ended] == [0, 1, 2]
    assert study.state == "active"
    study.optimize(objective, trials=3)
    assert study.counts["complete"] == 3
    study.optimize(objective)
    assert study.counts["complete"] == 8
    assert study.state == "finished"


def test_optimize_waits_for_the_confirmation_while_others_run_the_last_of_the_search(
    client, name, until
):
    study = client.create_study(
        name,
        objective="loss",
        compare={"optimizers": ["adamw", "sgd"], "trials": 1, "seeds": 2},
        sampler="random",
    )
    held = study.ask()
    replicates = []

    def objective(trial):
        replicates.append(trial.replicate)
        return 0.5

    thread = threading.Thread(target=study.optimize, args=(objective,), daemon=True)
    thread.start()
    until(lambda: client.get_study(name).counts["complete"])
    assert client.get_study(name).ask() is None
    held.tell(0.4)
    thread.join(60)
    assert study.state == "finished"
    assert replicates == [0, 1, 1, 2, 2]
    more = study.confirm(seeds=1)
    assert [trial["user_attrs"]["replicate"] for trial in more] == [3, 3]
    assert study.state == "active"
    study.optimize(objective, workers=2)
    assert study.counts["complete"] == 8


def test_a_pruner_stops_trials_through_the_client(client, name, new_study):
    study = new_study(
        client, name, pruner={"name": "median", "n_startup": 2}, budget={"trials": 12}
    )

    def stopping(trial):
        for step in range(1, 6):
            trial.report(step, loss=trial.params["x"])
            if trial.should_stop():
                return None
        return trial.params["x"]

    study.optimize(stopping)
    assert study.counts["pruned"] > 0
    assert study.counts["pruned"] + study.counts["complete"] == 12


def test_what_an_objective_does_ends_its_trial_as_promised(client, name, new_study, caplog):
    study = new_study(client, name)

    def unruly(trial):
        match trial.number:
            case 0:
                return float("nan")
            case 1:
                raise ValueError("no")
            case 2:
                raise tuner.TrialStopped
            case 3:
                return None
            case 4:
                trial.report(1, loss=0.25)
                return None
            case 5:
                raise MemoryError
            case _:
                return {"loss": 1.0, "other": 2.0}

    study.optimize(unruly, trials=8)
    trials = study.trials()
    ends = [(trial["state"], trial["reason"], trial["diverged"]) for trial in trials]
    assert ends[:5] == [
        ("complete", None, True),
        ("fail", "error", False),
        ("pruned", None, False),
        ("fail", "no-result", False),
        ("complete", None, False),
    ]
    assert trials[0]["values"] == {"loss": "NaN"}
    assert trials[4]["values"] == {"loss": 0.25}
    assert (trials[5]["state"], trials[5]["reason"]) == ("fail", "oom")
    assert trials[7]["values"] == {"loss": 1.0, "other": 2.0}
    log = study.client.rest.trial_log(name, 1)["items"]
    assert "ValueError: no" in log[-1]["text"]
    assert f"Trial 1 of study {name!r} failed: ValueError: no" in caplog.messages
    assert len(caplog.messages) == 3


def test_errors_can_be_raised_for_debugging_after_they_were_told(client, name, new_study):
    study = new_study(client, name)

    def broken(trial):
        raise ZeroDivisionError("x")

    with pytest.raises(ObjectiveFailed, match="ZeroDivisionError: x"):
        study.optimize(broken, trials=3, raise_errors=True)
    assert study.refresh().counts["fail"] == 1


def test_the_same_name_again_is_a_conflict_unless_it_is_the_same_study(client, name, new_study):
    new_study(client, name)
    with pytest.raises(StudyExists, match="exist_ok"):
        new_study(client, name)
    assert new_study(client, name, exist_ok=True).name == name
    with pytest.raises(StudyExists):
        new_study(client, name, exist_ok=True, sampler="qmc")


def test_enqueued_trials_come_first_and_imported_ones_count_as_history(client, name, new_study):
    study = new_study(client, name, budget={"trials": 2})
    (imported,) = study.import_trials([{"params": {"x": 0.125, "n": 2}, "values": {"loss": 0.5}}])
    assert imported["state"] == "complete"
    study.enqueue({"x": 0.25}, note="mine")
    trial = study.ask()
    assert (trial.params["x"], trial.user_attrs) == (0.25, {"note": "mine"})
    trial.tell(0.75)
    study.ask().tell(0.9)
    assert study.best["number"] == imported["number"]
    with pytest.raises(BudgetSpent):
        study.enqueue({"x": 0.5})
    with pytest.raises(InvalidParameter, match="params"):
        study.import_trials([{"params": {"x": 2}, "values": {"loss": 0.5}}])


def test_pause_resume_stop_and_delete(client, name, new_study):
    study = new_study(client, name)
    running = study.ask()
    study.pause(now=True)
    assert study.ask() is None
    running.report(1, loss=0.5)
    running.flush()
    assert running.should_stop() == "paused"
    running.release()
    assert study.resume().state == "active"
    again = study.ask()
    assert (again.number, again.attempt) == (0, 2)
    study.stop()
    again.tell(0.5)
    assert study.state == "finished"
    study.delete()
    with pytest.raises(StudyNotFound):
        client.get_study(name)


def test_watch_yields_what_happens_and_ends_with_the_study(
    client, name, new_study, objective, until
):
    study = new_study(client, name, budget={"trials": 2})
    watching = client.get_study(name)
    events: list[str] = []
    thread = threading.Thread(
        target=lambda: events.extend(event["event"] for event in watching.watch()), daemon=True
    )
    thread.start()
    # what happens before it has connected it does not see
    until(lambda: study.change(tags={"seen": len(events)}) and events)
    study.optimize(objective)
    thread.join(60)
    assert not thread.is_alive()
    assert events.count("trial.complete") == 2
    assert events[-1] == "study.finished"
    assert list(study.watch()) == []


def test_a_checkpoint_travels_to_the_next_attempt(client, name, tmp_path, monkeypatch, new_study):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study = new_study(client, name)
    first = study.ask()
    assert first.load_checkpoint() is None
    first.save_checkpoint({"epoch": 2}, 2)
    first.report(2, loss=0.5)
    first.release()
    second = study.ask()
    assert (second.number, second.attempt) == (0, 2)
    assert second.load_checkpoint() == {"epoch": 2}
    with pytest.raises(Conflict):
        first.tell(0.5)
    second.tell(0.25)


@pytest.mark.parametrize("state", ["complete", "pruned", "fail"])
def test_checkpoints_go_with_the_last_attempt_that_could_need_them(
    client, tmp_path, monkeypatch, new_study, state
):
    name = f"ends-{state}"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kept = tmp_path / "state" / "tuner" / "checkpoints" / name
    study = new_study(client, name)
    first, other = study.ask(), study.ask()
    first.save_checkpoint({"epoch": 2}, 2)
    (first.checkpoint_dir / "model.bin").write_bytes(b"mine")
    other.save_checkpoint({"epoch": 1}, 1)
    first.report(2, loss=0.5)
    first.tell(state=state)
    assert other.load_checkpoint() == {"epoch": 1}
    if state == "fail":
        client.rest.retry_trial(name, 0)
        again = study.ask()
        assert (again.number, again.load_checkpoint()) == (0, {"epoch": 2})
        again.tell(0.5)
    assert [path.name for path in first.checkpoint_dir.iterdir()] == ["model.bin"]
    other.tell(state="fail")
    assert other.checkpoint_dir.exists()
    study.delete()
    assert [path.name for path in kept.rglob("*") if path.is_file()] == ["model.bin"]


def test_deleting_a_study_leaves_the_checkpoints_of_another_of_its_name(
    client, name, tmp_path, monkeypatch, new_study
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study = new_study(client, name)
    trial = study.ask()
    mine = trial.save_checkpoint({"epoch": 1}, 1)
    others = mine.parent.with_name(f"0-{'f' * 12}") / mine.name
    others.parent.mkdir()
    others.write_bytes(mine.read_bytes())
    trial.tell(state="fail")
    study.delete()
    assert (mine.exists(), others.exists()) == (False, True)


def test_the_async_client_does_the_same_calls(store):
    async def work() -> list[int]:
        async with tuner.AsyncClient(database_url=f"sqlite:///{store}") as client:
            data = {"name": "a", "objective": "loss", "space": {"x": {"type": "float", "low": 0,
                    "high": 1}}, "sampler": "random", "budget": {"trials": 6}}  # fmt: skip
            await client.create_study(data)
            answers = await asyncio.gather(*(client.ask("a") for _ in range(8)))
            trials = [trial for answer in answers for trial in answer["trials"]]
            for trial in trials:
                await client.tell("a", trial["number"], trial["lease"], values={"loss": 0.5})
            async for event in client.events("a", last_event_id=0):
                if event["event"] == "study.finished":
                    break
            with pytest.raises(Conflict):
                await client.retry_trial("a", 0)
            return sorted(trial["number"] for trial in trials)

    assert asyncio.run(work()) == list(range(6))
