"""Names that people know from other tools (Optuna, Ray Tune, W&B), and what does the same here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_SPACE: Final = (
    'declare it in the space, as `space={"lr": tuner.Float(1e-5, 1e-1, log=True)}`, and read'
    ' `trial.params["lr"]`.'
)
_CREATE: Final = (
    "a study belongs to a client: `client = tuner.Client()`, then"
    ' `client.create_study("digits", space={"lr": tuner.Float(1e-5, 1e-1, log=True)},'
    ' objective=("val_loss", "minimize"), budget={"trials": 60})`.'
)
_RUN: Final = (
    "make a study with `client.create_study`, then `study.optimize(objective, trials=60,"
    " workers=4)`."
)
_REPORT: Final = "report from inside a trial: `tuner.current_trial().report(1, val_loss=0.5)`."
_PARAMS: Final = "a trial has its values: `tuner.current_trial().params`."
_FLOAT: Final = "write `tuner.Float(1e-5, 1e-1, log=True)`, without log for an even scale."
_INT: Final = "write `tuner.Int(16, 256, log=True)`, without log for an even scale."
_CHOICE: Final = 'write `tuner.Categorical(["relu", "tanh"])`.'
_BEST: Final = "`study.best` is the best trial as a dict, and None while there is no result"

TRIAL: Final = {
    **dict.fromkeys(
        (
            "suggest_float",
            "suggest_int",
            "suggest_categorical",
            "suggest_uniform",
            "suggest_loguniform",
            "suggest_discrete_uniform",
        ),
        _SPACE,
    ),
    "should_prune": "ask `trial.should_stop()`, which answers None or the reason, and return then.",
    "set_user_attr": (
        "report a number as a metric, `trial.report(1, val_loss=0.5)`, and write anything else to"
        ' its log, `trial.log("seen: 3 classes")`.'
    ),
    "config": 'read `trial.params["lr"]`.',
}
STUDY: Final = {
    "best_params": f'read `study.best["params"]`; {_BEST}.',
    "best_config": f'read `study.best["params"]`; {_BEST}.',
    "best_value": f'read `study.best["values"]`, the value of each metric; {_BEST}.',
    "best_trial": f"read `study.best`; {_BEST}.",
    "best_trials": "read `study.pareto`.",
    "get_best_result": f"read `study.best`; {_BEST}.",
    "get_dataframe": "call `study.to_dataframe()`.",
    "trials_dataframe": "call `study.to_dataframe()`.",
    "get_trials": 'call `study.trials(states=["complete"])`.',
    "enqueue_trial": 'call `study.enqueue({"lr": 0.01})`.',
    "add_trial": (
        'call `study.import_trials([{"params": {"lr": 0.01}, "values": {"val_loss": 0.5}}])`.'
    ),
    "add_trials": (
        'call `study.import_trials([{"params": {"lr": 0.01}, "values": {"val_loss": 0.5}}])`.'
    ),
    "tell": (
        "tell the trial that `trial = study.ask()` gave: `trial.tell(0.5)`, or"
        ' `trial.tell(state="fail")`.'
    ),
    "set_user_attr": 'give it a tag, `study.change(tags={"team": "vision"})`.',
    "user_attrs": 'read `study.spec.get("tags")`.',
    "study_name": "read `study.name`.",
    "direction": 'read `study.spec["objectives"]`.',
    "directions": 'read `study.spec["objectives"]`.',
    "sampler": 'read `study.spec["sampler"]`.',
    "pruner": 'read `study.spec["pruner"]`.',
}
ROW: Final = {
    name: f'trials are read as dicts: take the key `["{key}"]`.'
    for name, key in {
        "params": "params",
        "config": "params",
        "value": "values",
        "metrics": "values",
        "number": "number",
        "state": "state",
        "user_attrs": "user_attrs",
    }.items()
} | {
    "intermediate_values": (
        "what a trial has reported is read with `study.measurements(3)`, 3 being its number."
    ),
}
MODULE: Final = {
    "create_study": _CREATE,
    "load_study": 'call `tuner.Client().get_study("digits")`.',
    "delete_study": 'call `tuner.Client().get_study("digits").delete()`.',
    "get_all_study_names": "read them as `[study.name for study in tuner.Client().studies()]`.",
    "TrialPruned": (
        "return from the objective when `trial.should_stop()` says so, or"
        " `raise tuner.TrialStopped`."
    ),
    "samplers": 'name one when the study is created, as `sampler={"name": "gp", "seed": 7}`.',
    "pruners": 'name one when the study is created, as `pruner="asha"`.',
    "schedulers": 'name a pruner when the study is created, as `pruner="asha"`.',
    "storages": 'give the client a database, `tuner.Client(database_url="sqlite:///lab.db")`.',
    "distributions": f"parameters are made by `tuner.Float`, `tuner.Int` and others; {_FLOAT}",
    "visualization": 'charts are in the report, `study.report(path="report.html")`.',
    "importance": "call `study.importance()`.",
    "integration": (
        "`from tuner.training.lightning import TunerCallback`, or for the Hugging Face Trainer"
        " `from tuner.training.transformers import TunerCallback`."
    ),
    "run": _RUN,
    "Tuner": _RUN,
    "TuneConfig": _RUN,
    "agent": _RUN,
    "report": _REPORT,
    "log": _REPORT,
    "sweep": _CREATE,
    "init": "no run is started by hand; inside a trial `trial = tuner.current_trial()` gives it.",
    "finish": (
        "nothing is to be closed: a trial ends when its objective returns; by hand after"
        " `trial = study.ask()` with `trial.tell(0.5)`."
    ),
    "config": _PARAMS,
    "get_checkpoint": "call `tuner.current_trial().load_checkpoint()`.",
    "uniform": _FLOAT,
    "loguniform": _FLOAT,
    "quniform": "write `tuner.Float(0.0, 1.0, step=0.1)`.",
    "randint": _INT,
    "lograndint": _INT,
    "choice": _CHOICE,
    "grid_search": 'write the choices, `tuner.Categorical([16, 32])`, and take `sampler="grid"`.',
}
OPTIMIZE: Final = {
    "n_trials": "it is called trials, as `study.optimize(objective, trials=60)`.",
    "num_samples": "it is called trials, as `study.optimize(objective, trials=60)`.",
    "n_jobs": "it is called workers, as `study.optimize(objective, trials=60, workers=4)`.",
    "timeout": (
        'the time is part of the study\'s budget, `study.change(budget={"seconds": 600})`.'
    ),
    "callbacks": "one function takes each trial that has ended, as `progress=print`.",
    "show_progress_bar": "a function takes each trial that has ended, as `progress=print`.",
    "catch": (
        "a trial that fails is told so and the next one runs, unless `raise_errors=True` is given."
    ),
}
CREATE: Final = {
    "study_name": 'the name comes first, as `client.create_study("digits", …)`.',
    "direction": 'it goes with the metric, as `objective=("val_loss", "minimize")`.',
    "directions": (
        "they go with the metrics, as"
        ' `objectives=[("val_loss", "minimize"), ("seconds", "minimize")]`.'
    ),
    "metric": 'it goes with its direction, as `objective=("val_loss", "minimize")`.',
    "storage": 'the client has the database, `tuner.Client(database_url="sqlite:///lab.db")`.',
    "load_if_exists": "it is called exist_ok, as `exist_ok=True`.",
}
REPORT: Final = (
    "takes the step, then the metrics by name, as `trial.report(1, val_loss=0.5)`: step 1, and a"
    " val_loss of 0.5."
)


class Familiar:
    """Says of names in `familiar` what does the same here; all others are missing as ever."""

    __slots__ = ()
    familiar: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # a type checker is to go on finding names that do not exist

        def __getattr__(self, name):
            """Raise the error that says what to do."""
            hint = type(self).familiar.get(name)
            if hint is None:
                # once more, for Python's own words and for an error inside a property
                return object.__getattribute__(self, name)
            raise AttributeError(f"{type(self).__name__!r} object has no {name!r}: {hint}")


class TrialRow(dict[str, Any], Familiar):
    """A trial as a plain dict, which knows what to answer to `row.params`."""

    __slots__ = ()
    familiar = ROW


def keywords(
    table: Mapping[str, str],
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Refuse keywords of other tools with what to write here."""

    def decorate(
        function: Callable[Concatenate[S, P], T],
    ) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(function)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs:
                if name in table:
                    raise TypeError(f"{function.__name__}() takes no {name!r}: {table[name]}")
            return function(self, *args, **kwargs)

        return call

    return decorate


def step_first(
    hint: str,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Refuse anything but a step and metrics by name, with what to write."""

    def decorate(
        function: Callable[Concatenate[S, P], T],
    ) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(function)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if len(args) + ("step" in kwargs) != 1:
                raise TypeError(f"{function.__name__}() {hint}")
            return function(self, *args, **kwargs)

        return call

    return decorate
