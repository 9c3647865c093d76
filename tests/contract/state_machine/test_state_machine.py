"""Random histories of a study, with crashes and repeats, against a small model of the contract."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine as Machine
from hypothesis.stateful import initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as play

from tuner.errors import StudyNotFound, TunerError

MOST = 2
FINISHED = ("complete", "pruned", "fail")
FAULTS = st.sampled_from(["", "", "", "crash", "drop", "twin"])
VALUES = st.sampled_from([0.0, 1.0, 2.0, "NaN"])
REASONS = st.sampled_from([None, "error", "oom", "timeout", "killed", "preempted", "cancelled"])
ENDS = st.sampled_from(FINISHED)
PICK = st.integers(0, 2**16)


class StudyMachine(Machine):
    def __init__(self, service: Any, model: Any) -> None:
        super().__init__()
        self.service = service
        self.new_model = model
        self.model: Any = None
        self.keys = 0
        self.leases: list[dict[str, Any]] = []
        self.answers: list[tuple[Any, str, Any]] = []
        self.first_told: dict[str, Any] = {}
        self.frozen: dict[int, dict[str, Any]] = {}

    @initialize(budget=st.none() | st.integers(1, 8), goal=st.none() | st.just(0.0))
    def create(self, budget: int | None, goal: float | None) -> None:
        limits = {"trials": budget, "target": goal}
        self.name = self.service.new_study(
            budget={key: value for key, value in limits.items() if value is not None},
            trial={"command": ["true"], "max_attempts": MOST},
        )
        self.model = self.new_model(self.service.clock.time, MOST, budget, goal)

    def teardown(self) -> None:
        if self.model is not None:
            self.service.run(self.service.manager.delete_study(self.name))

    # --- calls with faults

    def outcome(self, call: Any) -> Any:
        try:
            return call()
        except TunerError as error:
            return error

    def once(self, call: Any, expected: Any, fault: str = "") -> Any:
        """The answer of `call`; that or its refusal must be what `expected()` gives."""
        if fault == "crash":
            self.service.crash(call)
            self.agree()
        wanted, got = self.outcome(expected), self.outcome(call)
        if isinstance(wanted, TunerError) or isinstance(got, TunerError):
            assert type(got) is type(wanted)
            return None
        return got

    def keyed(self, call: Any, expected: Any, fault: str) -> Any:
        """As `once`, for calls with a key: repeated at once, and remembered to be repeated."""
        self.keys += 1
        key = f"{self.name}-{self.keys}"
        answer = self.once(lambda: call(key), expected, fault)
        if answer is not None:
            if fault == "drop":
                assert call(key) == answer
            self.answers.append((call, key, answer))
        return answer

    @precondition(lambda self: self.answers)
    @rule(pick=PICK)
    def repeat_an_earlier_call(self, pick: int) -> None:
        call, key, answer = self.answers[pick % len(self.answers)]
        assert call(key) == answer

    # --- asking and adding

    @rule(count=st.integers(1, 4), seconds=st.sampled_from([5.0, 60.0]), fault=FAULTS)
    def ask(self, count: int, seconds: float, fault: str) -> None:
        wanted: list[Any] = []

        def call(key: str) -> Any:
            if fault == "twin":
                body = self.service.ask_body(count, lease_seconds=seconds)
                ask = self.service.manager.ask
                one, two = self.service.together(*(ask(self.name, body, key) for _ in range(2)))
                assert one == two
                return one.body["trials"]
            return self.service.ask(self.name, count, key, lease_seconds=seconds)

        given = self.keyed(call, lambda: wanted.extend(self.model.ask(count)), fault)
        assert [trial["number"] for trial in given] == [trial.number for trial in wanted]
        for trial, leased in zip(wanted, given, strict=True):
            self.model.lease(trial, leased["lease"], seconds)
            self.leases.append(leased)

    @rule(fault=FAULTS)
    def enqueue(self, fault: str) -> None:
        body = {"params": {"x": 0.5}}
        self.keyed(lambda key: self.service.add(self.name, body, key), self.model.enqueue, fault)

    @rule(state=ENDS, value=VALUES, fault=FAULTS)
    def import_a_trial(self, state: str, value: Any, fault: str) -> None:
        values = {} if state == "fail" else {"loss": value}
        body = {"params": {"x": 0.5}, "state": state, "values": values}

        def expected() -> None:
            trial = self.model.add(state, counts=False, values=values)
            trial.reason = "error" if state == "fail" else None
            self.model.settle()

        self.keyed(lambda key: self.service.add(self.name, body, key), expected, fault)

    # --- holders of leases, current and stale

    def any_lease(self, pick: int) -> dict[str, Any]:
        return self.leases[-1 - pick % min(len(self.leases), 12)]

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, step=st.integers(0, 3), value=VALUES, fault=FAULTS)
    def report(self, pick: int, step: int, value: Any, fault: str) -> None:
        trial = self.any_lease(pick)
        stops: list[Any] = []
        for _ in range(2 if fault in ("drop", "twin") else 1):
            answer = self.once(
                lambda: self.service.report(trial, (step, {"loss": value})),
                lambda: stops.append(
                    self.model.report(trial["number"], trial["lease"], step, value)
                ),
                fault,
            )
            assert answer is None or answer["reason"] == stops[-1]

    @precondition(lambda self: self.leases)
    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        trial = self.any_lease(pick)
        place = trial["number"], trial["lease"]
        beat = self.service.heartbeat
        answer = self.once(lambda: beat(trial), lambda: self.model.heartbeat(*place))
        if answer is not None:
            assert answer["reason"] == self.model.trials[trial["number"]].stop

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, state=ENDS, value=st.none() | VALUES, reason=REASONS, fault=FAULTS)
    def tell(self, pick: int, state: str, value: Any, reason: Any, fault: str) -> None:
        trial = self.any_lease(pick)
        body: dict[str, Any] = {"state": state}
        if state == "fail" and reason is not None:
            body["reason"] = reason
        elif state != "fail" and value is not None:
            body["values"] = {"loss": value}
        told = str(sorted(body.items(), key=str))
        call = self.service.tell
        self._end(trial, told, body, lambda key: call(trial, key=key, **body), fault)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, reason=REASONS.filter(bool), fault=FAULTS)
    def release(self, pick: int, reason: str, fault: str) -> None:
        trial = self.any_lease(pick)
        body = {"state": "fail", "reason": reason}
        call = self.service.release
        self._end(trial, "release", body, lambda: call(trial, reason=reason), fault)

    def _end(self, trial: Any, told: str, body: Any, call: Any, fault: str) -> None:
        def expected() -> bool:
            return self.model.end(trial["number"], trial["lease"], told, **body)

        # a release has no key: it is idempotent by its lease
        perform = self.once if told == "release" else self.keyed
        answer = perform(call, expected, fault)
        if answer is not None:
            assert answer == self.first_told.setdefault(trial["lease"], answer)

    # --- anyone

    @precondition(lambda self: self.model.trials)
    @rule(pick=PICK, fault=FAULTS)
    def stop_a_trial(self, pick: int, fault: str) -> None:
        number = pick % len(self.model.trials)
        stop = self.service.manager.stop_trial
        call = lambda: self.service.run(stop(self.name, number))  # noqa: E731 - short
        self.once(call, lambda: self.model.stop(number), fault)

    @precondition(lambda self: self.model.trials)
    @rule(pick=PICK, fault=FAULTS)
    def retry_a_trial(self, pick: int, fault: str) -> None:
        number = pick % len(self.model.trials)
        call = self.service.manager.retry_trial

        def expected() -> None:
            self.model.retry(number)
            self.frozen.pop(number, None)

        self.once(lambda: self.service.run(call(self.name, number)), expected, fault)

    @rule(now=st.booleans())
    def pause(self, now: bool) -> None:
        self.service.change(self.name, state="paused", now=now)
        self.model.paused = True
        if now:
            self.model.ask_to_stop("paused")

    @rule()
    def resume(self) -> None:
        self.once(lambda: self.service.change(self.name, state="active"), self.model.resume)

    @rule(fault=FAULTS)
    def stop(self, fault: str) -> None:
        def expected() -> None:
            self.model.stopped = True
            self.model.settle()

        self.once(lambda: self.service.change(self.name, state="finished"), expected, fault)

    @rule(budget=st.none() | st.integers(1, 12))
    def change_the_budget(self, budget: int | None) -> None:
        self.service.change(self.name, budget={"trials": budget})
        was_over, old, self.model.budget = self.model.over, self.model.budget, budget
        if old is not None and (budget is None or budget > old):
            self.model.stopped = False
            self.model.paused = self.model.paused and not was_over

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.0, 6.0, 61.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.service.expire(seconds)
        self.model.now = self.service.clock.time
        self.model.sweep()

    @rule()
    def restart_the_server(self) -> None:
        self.service.reopen()
        self.model.reopen()

    @rule()
    def delete_and_create_again(self) -> None:
        self.service.run(self.service.manager.delete_study(self.name))
        for trial in self.leases[-3:]:
            refused = self.outcome(lambda t=trial: self.service.heartbeat(t))
            assert type(refused) is StudyNotFound
        self.service.new_study(name=self.name, trial={"command": ["true"], "max_attempts": MOST})
        self.model = self.new_model(self.service.clock.time, MOST, None, None)
        self.frozen.clear()
        self.first_told.clear()

    # --- what must always hold

    @invariant()
    def agree(self) -> None:
        if self.model is None:
            return
        study, listed = self.service.study(self.name), self.service.trials(self.name)
        assert [trial["number"] for trial in listed] == list(range(len(listed)))
        seen = [(t["state"], t["attempt"], t["reason"], t["values"]) for t in listed]
        wanted = [(t.state, t.attempt, t.reason, t.values) for t in self.model.trials]
        assert seen == wanted
        counts = Counter(trial["state"] for trial in listed)
        assert {k: v for k, v in study["counts"].items() if v} == dict(counts)
        assert study["state"] == self.model.state
        assert study["used"]["trials"] == self.model.made
        for trial in listed:
            if trial["state"] in FINISHED:
                assert self.frozen.setdefault(trial["number"], trial) == trial


@pytest.mark.timeout(0)
def test_random_histories_follow_the_contract(service: Any, study_model: Any) -> None:
    size: dict[str, Any] = {"max_examples": 25, "stateful_step_count": 30, "derandomize": True}
    if service.url.startswith("postgresql"):
        size |= {"max_examples": 8, "stateful_step_count": 25}
    if settings.get_current_profile_name() == "long":
        size = {"derandomize": False}
    how = settings(**size, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    play(lambda: StudyMachine(service, study_model), settings=how)
