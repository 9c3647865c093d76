"""Pruning in comparisons: peers are the trials of the same optimizer."""

from __future__ import annotations

import itertools

ASHA = {"name": "asha", "min_step": 1, "max_step": 9, "reduction_factor": 2}


def test_a_trial_is_compared_with_trials_of_its_optimizer_only(comparing, service):
    name = comparing.new(compare={"trials": 4}, pruner=ASHA)
    asked = service.ask(name, 12)
    for trial, worse in zip(asked, itertools.count(1)):
        bad = trial["params"]["optimizer"] == "lbfgs"
        # all of lbfgs are far worse than the others, and each better than the one before
        answer = service.report(trial, (1, {"loss": 100.0 - worse if bad else 0.001 * -worse}))
        assert answer["reason"] is None
    name = comparing.new(compare={"trials": 4}, pruner=ASHA)
    asked = service.ask(name, 12)
    reasons = [service.report(t, (1, {"loss": t["number"]}))["reason"] for t in asked]
    assert reasons == [None] * 3 + ["pruned"] * 9


def test_replicates_are_not_pruned_and_are_nobodys_peers(comparing, service):
    name = comparing.new(pruner=ASHA)
    for trial in service.ask(name, 6):
        service.report(trial, (1, {"loss": 0.1}))
        service.tell(trial, 0.1)
    confirming = service.ask(name, 6)
    for trial in confirming:
        assert service.report(trial, (1, {"loss": 99.0}))["should_stop"] is False
    service.change(name, compare={"trials": 3})
    for trial in confirming:
        service.tell(trial, 99.0)
    for trial in service.ask(name, 3):
        # were the replicates peers, 0.2 would be among the best half
        assert service.report(trial, (1, {"loss": 0.2}))["reason"] == "pruned"
