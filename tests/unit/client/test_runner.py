import math
import pickle

import pytest

from tuner.client.runner import Outcome, run_objective, settle
from tuner.client.trial import Trial
from tuner.errors import InvalidMetric, LeaseLost, TrialStopped

STOPS = [
    ("pruned", Outcome("tell", "pruned")),
    ("budget", Outcome("tell", "pruned")),
    ("cancelled", Outcome("tell", "fail", reason="cancelled")),
    ("paused", Outcome("release", reason="preempted", message="Stopped: paused.")),
    ("preempted", Outcome("release", reason="preempted", message="Stopped: preempted.")),
    ("lease-lost", Outcome("nothing", message="The lease was lost.")),
]


@pytest.fixture
def make_trial(client, leased, server, make_reply):
    def make(stop=None, metrics=("loss",)):
        body = {"should_stop": stop is not None, "reason": stop, "lease_expires_at": ""}
        lost = make_reply(409, LeaseLost("lost").to_problem())
        taken = make_reply(body=body)
        server.answer = lambda seen: lost if stop == "lease-lost" else taken
        return Trial(client, leased(), metrics=metrics, has_pruner=True)

    return make


@pytest.mark.parametrize(
    ("result", "values"),
    [
        (0.5, {"loss": 0.5}),
        (3, {"loss": 3.0}),
        ({"loss": 1, "size": 2}, {"loss": 1.0, "size": 2.0}),
        ([0.25], {"loss": 0.25}),
        (None, None),
        (math.inf, {"loss": math.inf}),
    ],
)
def test_what_an_objective_returns_completes_the_trial(make_trial, result, values):
    assert run_objective(lambda trial: result, make_trial()) == Outcome("tell", "complete", values)


def test_nan_completes_the_trial_too(make_trial):
    outcome = run_objective(lambda trial: math.nan, make_trial())
    assert outcome.state == "complete"
    assert math.isnan(outcome.values["loss"])


@pytest.mark.parametrize("result", ["0.3", True, [1, 2], object(), {"loss": "x"}, {"": 1}, b"1"])
def test_another_kind_of_result_fails_with_what_was_expected(make_trial, result):
    outcome = run_objective(lambda trial: result, make_trial())
    assert (outcome.action, outcome.state, outcome.reason) == ("tell", "fail", "error")
    assert outcome.message.startswith("The objective returned ")
    assert "expected a number" in outcome.message


@pytest.mark.parametrize(("stop", "expected"), STOPS)
def test_returning_after_a_stop_ends_the_attempt_by_it(make_trial, stop, expected):
    def objective(trial):
        trial.report(1, loss=0.5)
        assert trial.should_stop() == stop
        return 0.5

    assert run_objective(objective, make_trial(stop)) == expected


@pytest.mark.parametrize(("stop", "expected"), STOPS)
def test_trial_stopped_after_a_stop_ends_the_attempt_by_it(make_trial, stop, expected):
    def objective(trial):
        trial.report(1, loss=0.5)
        raise TrialStopped

    assert run_objective(objective, make_trial(stop)) == expected


def test_trial_stopped_without_a_stop_is_pruned_and_passes_user_handlers(make_trial):
    def objective(trial):
        try:
            raise TrialStopped
        except Exception:
            return 1.0

    assert run_objective(objective, make_trial()) == Outcome("tell", "pruned")


def test_a_result_stands_when_the_objective_never_looked_for_a_stop(make_trial):
    def objective(trial):
        trial.report(1, loss=0.5)
        return 0.5

    outcome = run_objective(objective, make_trial("pruned"))
    assert outcome == Outcome("tell", "complete", {"loss": 0.5})


def test_an_exception_fails_the_trial_with_one_line_and_a_traceback(make_trial):
    def objective(trial):
        raise ValueError("bad\nshape")

    outcome = run_objective(objective, make_trial())
    assert (outcome.state, outcome.reason) == ("fail", "error")
    assert outcome.message == "ValueError: bad shape"
    assert "in objective" in outcome.trace
    assert "run_objective" not in outcome.trace


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_running_out_of_memory_is_its_own_reason(make_trial, error):
    def objective(trial):
        raise error

    assert run_objective(objective, make_trial()).reason == "oom"


def test_ctrl_c_passes_and_sys_exit_fails_the_trial(make_trial):
    def interrupted(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_objective(interrupted, make_trial())

    def leaving(trial):
        raise SystemExit(3)

    assert run_objective(leaving, make_trial()).message == "The objective called sys.exit(3)."


def test_several_objectives_take_as_many_numbers(make_trial):
    trial = make_trial(metrics=("loss", "size"))
    assert run_objective(lambda t: (1, 2), trial).values == {"loss": 1.0, "size": 2.0}
    assert "expected 2 numbers" in run_objective(lambda t: 1.0, trial).message


def test_an_outcome_is_plain_data():
    outcome = Outcome("tell", "complete", {"loss": 0.5})
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301  our own bytes


def sent(server):
    return [(seen.path.rpartition("/")[2], seen.json) for seen in server.seen]


def test_settling_sends_the_trace_before_the_tell(server, make_trial):
    settle(Outcome("tell", "fail", None, "error", "broke", "trace"), make_trial())
    (first, log), (second, tell) = sent(server)
    assert (first, log["text"]) == ("log", "trace\n")
    assert (second, tell["state"], tell["reason"]) == ("tell", "fail", "error")


def test_settling_a_release_gives_the_trial_back(server, make_trial):
    settle(Outcome("release", reason="preempted"), make_trial())
    assert sent(server) == [("release", {"lease": "lease-0", "reason": "preempted"})]


def test_settling_nothing_sends_nothing(server, make_trial):
    assert settle(Outcome("nothing"), make_trial()) is None
    assert server.seen == []


def test_nothing_returned_and_nothing_reported_fails_with_no_result(
    server, client, leased, make_reply
):
    def answer(seen):
        if seen.json["state"] == "complete":
            return make_reply(422, InvalidMetric("'loss' was never reported").to_problem())
        return make_reply(body={"state": "fail"})

    server.answer = answer
    trial = Trial(client, leased(), metrics=("loss",), has_pruner=False)
    assert settle(run_objective(lambda t: None, trial), trial) == {"state": "fail"}
    last = server.seen[-1].json
    assert (last["reason"], last["message"]) == ("no-result", "'loss' was never reported")
