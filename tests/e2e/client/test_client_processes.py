"""Clients in processes of their own: races, Ctrl-C, workers, scripts."""

import json
import signal

import pytest

from tuner.client.client import Client

RACER = """
import sys, tuner
with tuner.Client(database_url=sys.argv[1]) as client:
    study = client.create_study("race", space={"x": tuner.Float(0, 1)}, objective="loss",
                                sampler="random", budget={"trials": 8}, exist_ok=True)
    study.optimize(lambda trial: trial.params["x"])
    print(sum(study.refresh().counts.values()))
"""


def test_clients_that_start_at_once_share_one_owner(store, spawn):
    racers = [spawn("-c", RACER, f"sqlite:///{store}") for _ in range(3)]
    results = [racer.communicate(timeout=100) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], results
    with Client(database_url=f"sqlite:///{store}") as client:
        trials = client.get_study("race").trials()
    assert [trial["number"] for trial in trials] == list(range(8))
    assert {trial["state"] for trial in trials} == {"complete"}
    assert {trial["attempt"] for trial in trials} == {1}


INTERRUPTED = """
import sys, time, tuner
client = tuner.Client(database_url=sys.argv[1])
study = client.create_study("long", space={"x": tuner.Float(0, 1)}, objective="loss",
                            sampler="random", budget={"trials": 4})
def objective(trial):
    if workers == 1:
        print("running", flush=True)
    time.sleep(600)
workers = int(sys.argv[2])
if workers > 1:
    import threading
    def watch():
        while study.refresh().counts["running"] == 0:
            time.sleep(0.1)
        print("running", flush=True)
    threading.Thread(target=watch, daemon=True).start()
study.optimize(objective, trials=1, workers=workers)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_gives_the_running_trial_back(store, connect, spawn, workers):
    process = spawn("-c", INTERRUPTED, f"sqlite:///{store}", str(workers))
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=100)
    assert first == "running\n", talk
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in talk
    study = connect().get_study("long")
    assert study.counts == {"waiting": 1, "running": 0, "complete": 0, "pruned": 0, "fail": 0}
    assert study.state == "active"
    again = study.ask()
    assert (again.number, again.attempt) == (0, 2)
    again.tell(0.5)


WITH_WORKERS = """
import sys, tuner
client = tuner.Client(database_url=sys.argv[1])
study = client.create_study("wide", space={"x": tuner.Float(0, 1)}, objective="loss",
                            sampler="random", budget={"trials": 20})
shift = 2.0
def objective(trial):
    trial.report(1, loss=trial.params["x"])
    if trial.number == 1:
        raise ValueError("one of them breaks")
    return trial.params["x"] + shift
ended = []
study.optimize(objective, trials=6, workers=2, progress=ended.append)
print(sorted(trial["number"] for trial in ended), study.state)
"""


def test_workers_run_a_function_of_main_up_to_the_number_asked_for(store, connect, python):
    done = python("-c", WITH_WORKERS, f"sqlite:///{store}")
    assert done.out == "[0, 1, 2, 3, 4, 5] active\n", done.err
    assert done.err == "Trial 1 of study 'wide' failed: ValueError: one of them breaks\n"
    trials = connect().get_study("wide").trials()
    assert [trial["number"] for trial in trials] == list(range(6))
    assert [trial["state"] for trial in trials] == ["complete", "fail", *["complete"] * 4]
    assert all(trial["values"]["loss"] >= 2 for trial in trials if trial["state"] == "complete")
    assert trials[1]["message"] == "ValueError: one of them breaks"


SCRIPT = """
import tuner
trial = tuner.current_trial()
assert tuner.current_trial() is trial
state = trial.load_checkpoint() or {"epoch": 0}
for epoch in range(state["epoch"] + 1, 4):
    trial.save_checkpoint({"epoch": epoch}, epoch)
    trial.report(epoch, loss=trial.params["x"] / epoch)
"""


def test_a_script_reports_as_the_trial_that_its_worker_says(
    client, name, folder, python, new_study
):
    study = new_study(client, name)
    trial = study.ask()
    params = folder / "params.json"
    params.write_text(json.dumps(trial.params))
    said = {
        "TUNER_URL": client.url,
        "TUNER_TOKEN": client.token,
        "TUNER_STUDY": name,
        "TUNER_TRIAL": str(trial.number),
        "TUNER_LEASE": trial.lease,
        "TUNER_PARAMS": str(params),
        "TUNER_CHECKPOINT_DIR": str(folder / "ck"),
    }
    assert python("-c", SCRIPT, **said).code == 0
    assert [row["step"] for row in study.measurements(0)] == [1, 2, 3]
    assert trial.tell()["values"] == {"loss": trial.params["x"] / 3}
