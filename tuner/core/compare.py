"""The key `compare`: each optimizer tuned on its own, and its best setting run on fresh seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from tuner.core.model import Value, field_error, parse
from tuner.core.space_spec import OptimizerChoice
from tuner.errors import Invalid

TRIALS: Final = 20
SEEDS: Final = 5
MAX_SEEDS: Final = 100
MAX_EACH: Final = 100_000


class Compare(Value):
    """A fair comparison of the optimizers of `space.optimizers`, written out.

    Exactly one of `trials` and `seconds` is the budget of tuning, the same for each optimizer.
    """

    trials: Annotated[int, Field(ge=1, le=MAX_EACH)] | None = Field(
        default=None,
        description="Tuning trials of each optimizer; without it and `seconds`: the share of"
        f" budget.trials less `seeds`, else {TRIALS}.",
    )
    seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Seconds of training of each optimizer, instead of `trials`."
    )
    seeds: Annotated[int, Field(ge=0, le=MAX_SEEDS)] = Field(
        default=SEEDS,
        description="Fresh seeds on which the best setting of each optimizer is confirmed.",
    )
    target: float | None = Field(
        default=None,
        description="A value of the objective; the report says how soon each optimizer is there.",
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Compare:
        if self.trials is not None and self.seconds is not None:
            raise field_error(
                "give trials or seconds, not both.", at="seconds", found=self.seconds
            )
        return self

    def numbers(self, optimizers: int) -> int | None:
        """How many trials the comparison takes; None with a budget of seconds."""
        return None if self.trials is None else optimizers * (self.trials + self.seeds)


class CompareForm(Compare):
    """`compare` as it may be given: the optimizers may stand here."""

    optimizers: OptimizerChoice | None = None

    @classmethod
    def read(cls, data: Any) -> CompareForm:
        """A list of names, or a mapping.

        Raises:
            Invalid: With the path of the mistake.
        """
        if isinstance(data, list | tuple):
            data = {"optimizers": list(data)}
        if not isinstance(data, Mapping):
            raise Invalid.at(
                "compare",
                "expected a list of optimizers or a mapping such as {trials: 20, seeds: 5}.",
                found=repr(data)[:80],
            )
        given = {key: value for key, value in data.items() if value is not None}
        return parse(cls, given, "compare")

    def written_out(self, optimizers: int, budget_trials: int | None) -> Compare:
        """With its budget, and without the optimizers, which stand in the space.

        Args:
            optimizers: How many are compared.
            budget_trials: `budget.trials` as given.

        Raises:
            Invalid: If `budget_trials` leaves no tuning trial for each.
        """
        trials = self.trials
        if trials is None and self.seconds is None:
            trials = TRIALS
            if budget_trials is not None:
                trials = share(budget_trials, optimizers, self.seeds)
        return Compare(trials=trials, seconds=self.seconds, seeds=self.seeds, target=self.target)


def share(budget_trials: int, optimizers: int, seeds: int) -> int:
    """Tuning trials of each optimizer that a budget of trials allows.

    Raises:
        Invalid: If there is none left beside the confirmation on fresh seeds.
    """
    each = budget_trials // max(1, optimizers) - seeds
    if each < 1:
        least = optimizers * (seeds + 1)
        raise Invalid.at(
            "budget.trials",
            f"{budget_trials} trials leave nothing to tune: {optimizers} optimizers with {seeds}"
            f" seeds each to confirm take at least {least}.",
            found=budget_trials,
            allowed=f"at least {least}",
            hint="Raise budget.trials, or lower compare.seeds.",
        )
    return each
