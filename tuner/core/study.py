"""The specification of a study, as written in a study file or sent to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from tuner.core.compare import Compare, CompareForm
from tuner.core.entrypoint import is_entrypoint
from tuner.core.foreign import sweep_hint
from tuner.core.lifecycle import RETRYABLE, Reason
from tuner.core.model import Value, field_error, parse
from tuner.core.names import METRIC_NAME, STUDY_NAME, nearest
from tuner.core.space_spec import SpaceSpec
from tuner.core.wire import check_plain
from tuner.errors import FieldError, Invalid

Direction = Literal["minimize", "maximize"]
DEFAULT_RETRY_ON: Final = ("oom", "lost", "killed")
MAX_TRIALS: Final = 10_000_000


def check_metric(name: str, at: str = "metric") -> None:
    """Refuse a metric name that is empty, too long or has control characters."""
    if not METRIC_NAME.fullmatch(name):
        raise field_error(
            "is not a metric name: 1 to 128 characters, no control characters, no outer spaces.",
            at=at,
            found=name[:80],
        )


class Objective(Value):
    """A metric, the direction that is better, and which report stands for a trial."""

    metric: str
    direction: Direction = "minimize"
    from_: Literal["last", "best"] = Field(default="last", alias="from")

    @model_validator(mode="after")
    def _named(self) -> Objective:
        check_metric(self.metric)
        return self


class Constraint(Value):
    """A bound on the last reported value of a metric; a trial that breaks it is infeasible."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Constraint:
        check_metric(self.metric)
        if self.at_most is None and self.at_least is None:
            raise field_error("needs at_most or at_least.")
        return self


class Named(BaseModel):
    """A sampler or pruner by name, with options of its own that its registry checks."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})


class Budget(Value):
    """When the study ends: numbers handed out, server seconds with a trial running, a target."""

    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    target: float | None = None


class Resources(Value):
    """What one trial needs: GPUs (a fraction, or whole ones) and CPU cores."""

    gpus: float = Field(default=0, ge=0, le=1024)
    cpus: float = Field(default=1, gt=0, le=4096)

    @model_validator(mode="after")
    def _whole(self) -> Resources:
        if self.gpus > 1 and not float(self.gpus).is_integer():
            raise field_error(
                "more than one GPU must be a whole number.", at="gpus", found=self.gpus
            )
        return self


Command = tuple[StrictStr | tuple[StrictStr, ...], ...]


class TrialSpec(Value):
    """How a trial is executed: a built-in task, a Python callable or a command."""

    task: dict[str, Any] | None = None
    python: str | None = None
    command: Command | None = None
    resources: Resources = Resources()
    timeout: Annotated[float, Field(gt=0)] | None = None
    grace: Annotated[float, Field(ge=0, le=3600)] = 10
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    retry_on: tuple[Reason, ...] = tuple(Reason(reason) for reason in DEFAULT_RETRY_ON)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        if isinstance(data.get("command"), list):
            data["command"] = tuple(
                tuple(part) if isinstance(part, list) else part for part in data["command"]
            )
        if isinstance(data.get("retry_on"), list | tuple):
            data["retry_on"] = tuple(_reason(r, i) for i, r in enumerate(data["retry_on"]))
        return data

    @model_validator(mode="after")
    def _one_runner(self) -> TrialSpec:
        given = [kind for kind in RUNNERS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise field_error(f"give exactly one of task, python, command; found {found}.")
        if self.python is not None and not is_entrypoint(self.python):
            raise field_error(
                "is not an entrypoint of the form package.module:function.",
                at="python",
                found=self.python,
            )
        if self.command is not None and not (self.command and isinstance(self.command[0], str)):
            raise field_error(
                "must start with the program, e.g. [python, train.py].",
                at="command",
                found=[list(part) for part in self.command[:1]],
            )
        return self

    @property
    def kind(self) -> Literal["task", "python", "command"]:
        """Which runner executes it."""
        if self.task is not None:
            return "task"
        return "python" if self.python is not None else "command"

    @property
    def runner(self) -> dict[str, Any]:
        """`{"task": {...}}`, `{"python": "..."}` or `{"command": [...]}` as plain data."""
        value = getattr(self, self.kind)
        if self.kind == "command":
            value = [list(part) if isinstance(part, tuple) else part for part in value]
        return {self.kind: value}


RUNNERS: Final = ("task", "python", "command")


class StudySpec(Value):
    """Everything that defines a study, written out, with the space unexpanded."""

    name: str
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=8)
    constraints: tuple[Constraint, ...] = Field(default=(), max_length=32)
    space: SpaceSpec
    sampler: Named = Named(name="gp")
    pruner: Named = Named(name="none")
    budget: Budget = Budget()
    compare: Compare | None = None
    trial: TrialSpec | None = None
    tags: dict[str, StrictStr | StrictInt | StrictFloat | bool] = Field(default_factory=dict)
    short_forms: ClassVar[tuple[str, ...]] = ("objective",)

    @classmethod
    def read(cls, data: Any) -> StudySpec:
        """Read a study in any of the accepted short forms.

        Raises:
            Invalid: With the path to each mistake, what was found, what is allowed, and the
                nearest valid name.
        """
        if isinstance(data, StudySpec):
            return data
        if not isinstance(data, Mapping):
            raise Invalid("A study is a mapping with the keys name, objectives, space, …")
        check_plain(data)
        data = {key: value for key, value in data.items() if value is not None}
        _refuse_sweep(data)
        is_single = "objective" in data
        _lay_out_metrics(data)
        if "compare" in data:
            _lay_out_comparison(data)
        elif "space" in data:
            data["space"] = SpaceSpec.read(data["space"])
        try:
            return parse(cls, data)
        except Invalid as error:
            if not is_single:
                raise
            raise as_given(error, "objectives[0]", "objective") from None

    @model_validator(mode="after")
    def _consistent(self) -> StudySpec:
        if not STUDY_NAME.fullmatch(self.name) or self.name in (".", ".."):
            raise field_error(
                "is not a study name: 1 to 128 of letters, digits, _ . - (not . or ..).",
                at="name",
                found=self.name[:140],
                allowed="[A-Za-z0-9_.-]{1,128}",
            )
        metrics = [objective.metric for objective in self.objectives]
        for i, metric in enumerate(metrics):
            if metric in metrics[:i]:
                raise field_error("is given twice.", at=f"objectives[{i}].metric", found=metric)
        if self.budget.target is not None and len(self.objectives) > 1:
            raise field_error(
                "goes with a single objective; this study has several.",
                at="budget.target",
                found=self.budget.target,
            )
        if self.compare is not None:
            self._comparable()
        if len(self.tags) > 64:
            raise field_error("at most 64 tags.", at="tags", found=len(self.tags))
        return self

    def _comparable(self) -> None:
        if not self.compared:
            raise field_error(
                "compares optimizers; name them, e.g. compare: [adamw, nesterov].",
                at="compare.optimizers",
            )
        if len(self.compared) < 2:
            raise field_error(
                "needs at least two optimizers.",
                at="compare.optimizers",
                found=list(self.compared),
            )
        if len(self.objectives) > 1:
            raise field_error(
                "goes with a single objective; this study has several.",
                at="compare",
                found=len(self.objectives),
            )
        if self.budget.target is not None:
            raise field_error(
                "would end the comparison as soon as one optimizer is there; compare.target"
                " measures how soon each is.",
                at="budget.target",
                found=self.budget.target,
            )

    @property
    def compared(self) -> tuple[str, ...]:
        """The optimizers that are tuned each on its own; empty without `compare`."""
        if self.compare is None or self.space.optimizers is None:
            return ()
        return self.space.optimizers.names

    @property
    def metrics(self) -> tuple[str, ...]:
        """The objectives' metrics in order."""
        return tuple(objective.metric for objective in self.objectives)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The objectives' directions in order."""
        return tuple(objective.direction for objective in self.objectives)

    def to_json(self) -> dict[str, Any]:
        """The written-out form: what is stored and returned; reading it gives an equal spec."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        space: dict[str, Any] = {}
        if self.space.optimizers is not None:
            chosen = self.space.optimizers
            space["optimizers"] = {"names": list(chosen.names)}
            if chosen.size is not None:
                space["optimizers"]["size"] = chosen.size
        space["parameters"] = self.space.parameters
        data["space"] = space
        return data


def _refuse_sweep(data: Mapping[str, Any]) -> None:
    """Say what the keys are called here, rather than complain of them one by one."""
    known = [*StudySpec.model_fields, *StudySpec.short_forms]
    unknown = [str(key) for key in data if key not in known]
    hint = sweep_hint(unknown)
    if hint:
        # one mistake, not many: of many the command line shows no hint
        field = FieldError(unknown[0][:80], ", ".join(unknown)[:200], known)
        raise Invalid(f"Unknown keys: {', '.join(unknown)[:200]}.", hint=hint, errors=[field])


def _lay_out_metrics(data: dict[str, Any]) -> None:
    """The short forms of objectives and constraints."""
    if "objective" in data:
        if "objectives" in data:
            raise Invalid.at("objective", "give either objective or objectives, not both.")
        data["objectives"] = (_objective(data.pop("objective")),)
    elif isinstance(data.get("objectives"), list | tuple):
        data["objectives"] = tuple(_objective(item) for item in data["objectives"])
    if isinstance(data.get("constraints"), list):
        data["constraints"] = tuple(data["constraints"])


def _lay_out_comparison(data: dict[str, Any]) -> None:
    """Write out `compare`: its optimizers into the space, the trials it takes into the budget."""
    form = CompareForm.read(data["compare"])
    if "space" not in data and form.optimizers is None:
        return
    data["space"] = SpaceSpec.read(data.get("space", {}), optimizers=form.optimizers)
    chosen = data["space"].optimizers
    number = 0 if chosen is None else len(chosen.names)
    budget = parse(Budget, data.get("budget", {}), "budget")
    compare = form.written_out(number, budget.trials)
    if budget.trials is None and number and compare.trials is not None:
        budget = budget.model_copy(update={"trials": compare.numbers(number)})
    data["compare"], data["budget"] = compare, budget


def _objective(data: Any) -> Any:
    """`[metric, direction]` or a bare metric as a mapping."""
    if isinstance(data, str):
        return {"metric": data}
    if isinstance(data, list | tuple) and 1 <= len(data) <= 2:
        return dict(zip(("metric", "direction"), data, strict=False))
    return data


def as_given(error: Invalid, written: str, given: str) -> Invalid:
    """The error with a path as it was given, not as it is written out."""
    fields = [replace(field, path=field.path.replace(written, given)) for field in error.errors]
    return type(error)(error.message.replace(written, given), hint=error.hint, errors=fields)


def _reason(value: Any, index: int) -> Reason:
    allowed = sorted(str(reason) for reason in RETRYABLE)
    if value not in allowed:
        near = nearest(value, allowed)
        raise field_error(
            f"{value!r} is not a reason to retry; allowed: {', '.join(allowed)}."
            + (f" Did you mean {near!r}?" if near else ""),
            at=f"retry_on[{index}]",
            found=str(value)[:80],
            allowed=allowed,
            nearest=near,
        )
    return Reason(value)
