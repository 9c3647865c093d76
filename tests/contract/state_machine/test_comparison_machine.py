"""Random histories of a comparison, with crashes and repeats: fair turns, confirmed exactly once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine as Machine
from hypothesis.stateful import initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as play
from sqlalchemy import text

from tuner.core.messages import Confirm
from tuner.errors import TunerError
from tuner.storage import studies
from tuner.storage.comparison import Branch, branches_of
from tuner.storage.engine import Tx

NAMES = ["adamw", "nesterov", "lbfgs"]
PICK = st.integers(0, 2**16)
# What the sums of the branches stand for, counted afresh.
RECOUNT = """
SELECT sampler_index % 3, count(*),
    sum(CASE WHEN t.state IN ('complete', 'pruned', 'fail') THEN 1 ELSE 0 END),
    sum(CASE WHEN t.state = 'fail' THEN 1 ELSE 0 END),
    sum(CASE WHEN t.state IN ('complete', 'pruned', 'fail')
        THEN coalesce(m.seconds, a.ended_at - a.started_at) ELSE 0.0 END)
FROM trials t
JOIN studies s ON s.id = t.study_id
LEFT JOIN attempts a ON a.trial_id = t.id AND a.attempt = t.attempt
LEFT JOIN (
    SELECT trial_id, attempt, max(value) AS seconds FROM measurements
    WHERE metric = 'seconds' GROUP BY trial_id, attempt
) m ON m.trial_id = t.id AND m.attempt = t.attempt
WHERE s.name = :name AND t.sampler_index IS NOT NULL GROUP BY 1
"""
VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, "NaN", None])
PRUNER = {"name": "asha", "min_step": 1, "max_step": 4, "reduction_factor": 2}


class ComparisonMachine(Machine):
    def __init__(self, service: Any) -> None:
        super().__init__()
        self.service = service
        self.held: list[dict[str, Any]] = []
        self.name = ""
        self.by_hand = 0

    @initialize(trials=st.integers(1, 3), seeds=st.integers(0, 2))
    def create(self, trials: int, seeds: int) -> None:
        self.seeds = seeds
        self.name = self.service.new_study(
            space={},
            compare={"optimizers": NAMES, "trials": trials, "seeds": seeds},
            pruner=PRUNER,
            trial={"command": ["true"], "max_attempts": 2},
        )

    def teardown(self) -> None:
        if self.name:
            self.service.run(self.service.manager.delete_study(self.name))

    def may_crash(self, crash: bool, call: Any) -> Any:
        """The answer of a call, which before may be lost with the server; None if refused."""
        if crash:
            self.service.crash(call)
        try:
            return call()
        except TunerError:
            return None

    @rule(count=st.integers(1, 6))
    def ask(self, count: int) -> None:
        self.held += self.service.ask(self.name, count)

    @precondition(lambda self: self.held)
    @rule(pick=PICK, value=VALUES, crash=st.booleans(), step=st.integers(1, 4))
    def end(self, pick: int, value: Any, crash: bool, step: int) -> None:
        trial = self.held[pick % len(self.held)]
        reported = None if value is None else (step, {"loss": value, "seconds": 0.5 * step})
        if reported is not None:
            answer = self.may_crash(crash=False, call=lambda: self.service.report(trial, reported))
            if answer is not None and "confirms" in trial["user_attrs"]:
                assert answer["reason"] in (None, "cancelled", "paused")
        state = "fail" if value is None else "complete"
        values = {} if value is None else {"values": {"loss": value}}
        self.may_crash(crash, lambda: self.service.tell(trial, state=state, **values))

    @rule(seconds=st.sampled_from([1.0, 61.0]), restart=st.booleans())
    def let_time_pass(self, seconds: float, restart: bool) -> None:
        if restart:
            self.service.reopen()
        self.service.expire(seconds)

    @rule(pick=PICK, crash=st.booleans())
    def retry(self, pick: int, crash: bool) -> None:
        failed = self.service.trials(self.name, states=["fail"])
        if failed:
            number = failed[pick % len(failed)]["number"]
            manager = self.service.manager
            self.may_crash(crash, lambda: self.service.run(manager.retry_trial(self.name, number)))

    @rule(pick=PICK, crash=st.booleans())
    def stop(self, pick: int, crash: bool) -> None:
        open_ = self.service.trials(self.name, states=["waiting", "running"])
        if open_:
            number = open_[pick % len(open_)]["number"]
            manager = self.service.manager
            self.may_crash(crash, lambda: self.service.run(manager.stop_trial(self.name, number)))

    @rule(trials=st.integers(1, 4), crash=st.booleans())
    def change_the_budget_of_each(self, trials: int, crash: bool) -> None:
        now = self.service.study(self.name)["compare"]["trials"]
        if trials > now:
            change = self.service.change
            self.may_crash(crash, lambda: change(self.name, compare={"trials": trials}))

    @rule(crash=st.booleans())
    def confirm(self, crash: bool) -> None:
        manager = self.service.manager
        call = manager.confirm_study
        made = self.may_crash(crash, lambda: self.service.run(call(self.name, Confirm(seeds=1))))
        self.by_hand += made is not None

    @rule(state=st.sampled_from(["paused", "active", "finished", "active"]))
    def change_state(self, state: str) -> None:
        self.may_crash(crash=False, call=lambda: self.service.change(self.name, state=state))

    @invariant()
    def the_comparison_is_fair(self) -> None:
        if not self.name:
            return
        study, trials = self.service.study(self.name), self.service.trials(self.name)
        assert [t["number"] for t in trials] == list(range(len(trials)))
        assert study["used"]["trials"] == len(trials) <= study["budget"]["trials"]
        search = [t for t in trials if not t["user_attrs"]]
        made = Counter(t["params"]["optimizer"] for t in search)
        assert max(made.values(), default=0) <= min(made[name] for name in NAMES) + 1
        assert max(made.values(), default=0) <= 4
        marks = [
            (t["user_attrs"]["confirms"], t["user_attrs"]["replicate"])
            for t in trials
            if t["user_attrs"]
        ]
        assert len(marks) == len(set(marks))
        replicates = Counter(number for number, _ in marks)
        for number, count in replicates.items():
            assert {r for n, r in marks if n == number} == set(range(1, count + 1))
            assert count <= self.seeds + self.by_hand
        for trial in trials:
            if trial["user_attrs"]:
                assert trial["params"] == trials[trial["user_attrs"]["confirms"]]["params"]
                assert trial["state"] != "pruned"
        if study["best"] is not None:
            assert study["best"]["user_attrs"] == {}
        if (study["state_reason"] or "").startswith("comparison complete"):
            assert study["state"] == "finished"
            for name in NAMES:
                best = best_of(search, name)
                assert best is None or replicates[best] >= self.seeds
                assert (name in study["state_reason"]) is (best is None)

    @invariant()
    def the_sums_of_each_optimizer_are_those_of_its_trials(self) -> None:
        if not self.name:
            return
        sums, counted = self.service.read(self.sums)
        for place, branch in enumerate(sums):
            assert tuple(branch) == pytest.approx(counted.get(place, (0, 0, 0, 0.0)))

    def sums(self, tx: Tx) -> tuple[list[Branch], dict[int, tuple[float, ...]]]:
        study = studies.find(tx, self.name)
        rows = tx.all(text(RECOUNT), {"name": self.name})
        return branches_of(tx, study.id), {row[0]: tuple(row[1:]) for row in rows}


def best_of(search: list[dict[str, Any]], name: str) -> int | None:
    """The number of the best complete, finite trial of an optimizer."""
    found = [
        (t["values"]["loss"], t["number"])
        for t in search
        if t["params"]["optimizer"] == name and t["state"] == "complete" and not t["diverged"]
    ]
    return min(found)[1] if found else None


@pytest.mark.timeout(0)
def test_random_histories_of_a_comparison_are_fair_and_confirmed_once(service: Any) -> None:
    size: dict[str, Any] = {"max_examples": 15, "stateful_step_count": 40, "derandomize": True}
    if service.url.startswith("postgresql"):
        size |= {"max_examples": 5, "stateful_step_count": 30}
    if settings.get_current_profile_name() == "long":
        size = {"derandomize": False}
    how = settings(**size, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    play(lambda: ComparisonMachine(service), settings=how)
