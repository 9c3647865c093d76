"""Comparisons that one worker runs."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = ["adamw", "nesterov", "lbfgs"]
# how good each optimizer can be, and so the order of the best
FLOOR = {"adamw": 0.1, "nesterov": 0.2, "lbfgs": 0.3}


class Comparing:
    """Makes comparisons of three optimizers and runs them."""

    def __init__(self, service: Any) -> None:
        self.service = service

    def new(self, **fields: Any) -> str:
        """Two trials and two seeds of each, unless said otherwise."""
        compare = {"optimizers": NAMES, "trials": 2, "seeds": 2, **fields.pop("compare", {})}
        return str(self.service.new_study(**{"space": {}, "compare": compare, **fields}))

    def loss_of(self, trial: dict[str, Any]) -> float:
        """Later rounds are better; replicates are best of all, so none may count as the best."""
        if "confirms" in trial["user_attrs"]:
            return 0.0
        return FLOOR[trial["params"]["optimizer"]] + 1.0 / (1 + trial["number"])

    def run(self, name: str, most: int = 1000) -> list[dict[str, Any]]:
        """All trials in order."""
        done: list[dict[str, Any]] = []
        for _ in range(most):
            asked = self.service.ask(name)
            if not asked:
                return done
            done.append(asked[0])
            self.service.tell(asked[0], self.loss_of(asked[0]))
        return done

    def by_seconds(
        self, cost: dict[str, float], failing: tuple[str, ...] = (), **compare: Any
    ) -> tuple[str, list[dict[str, Any]]]:
        """Run a comparison by seconds; `cost` are the seconds of a trial of each optimizer."""
        service = self.service
        name = service.new_study(space={}, compare={"optimizers": NAMES, "seeds": 1, **compare})
        done = []
        for _ in range(200):
            asked = service.ask(name, lease_seconds=1000)
            if not asked:
                break
            done += asked
            if "confirms" not in asked[0]["user_attrs"]:
                service.clock.advance(cost[asked[0]["params"]["optimizer"]])
            bad = asked[0]["params"]["optimizer"] in failing
            service.tell(asked[0], *([] if bad else [0.5]), state="fail" if bad else "complete")
        return name, done

    def optimizers(self, trials: list[dict[str, Any]]) -> list[str]:
        """The optimizer of each trial."""
        return [trial["params"]["optimizer"] for trial in trials]

    def pairs(self, name: str) -> list[tuple[int, int]]:
        """What each replicate repeats, and which it is."""
        return [
            (t["user_attrs"]["confirms"], t["user_attrs"]["replicate"])
            for t in self.service.trials(name)
            if t["user_attrs"]
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events that are about the study itself."""
        found = self.service.run(self.service.manager.events(name, after=0))
        return [item for item in found if item["event"].startswith("study.")]


@pytest.fixture
def comparing(service: Any) -> Comparing:
    return Comparing(service)


@pytest.fixture
def freshly_comparing(fresh_service: Any) -> Comparing:
    """On a database of its own."""
    return Comparing(fresh_service)
