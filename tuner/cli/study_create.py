"""`tuner study create`: from flags or from a file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tuner.cli import extras, grammar, studyfile
from tuner.cli.options import Json
from tuner.cli.session import Session, open_session
from tuner.core.study import StudySpec
from tuner.errors import Conflict, Invalid, StudyExists

EPILOG: Final = (
    "A --param is NAME=TYPE:PART:… For example:\n\n\b\n"
    + "\n".join(f"  {line}" for line in grammar.EXAMPLES.splitlines())
    + "\n\nSeveral conditions are joined by `&`, quotes keep a separator."
)
_TASK: Final = "--task DATASET/MODEL, for example --task digits/mlp"


@dataclass(frozen=True)
class Flags:
    """The flags of `create` that describe a study, as given."""

    optimizers: str | None
    size: str | None
    params: list[str]
    metrics: list[str]
    directions: list[str]
    sampler: str | None
    pruner: str | None
    budget: dict[str, float | None]
    tags: list[str]
    runner: dict[str, Any]
    compare: str | None = None
    seeds: int | None = None
    seconds_each: float | None = None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        budget = [value for value in self.budget.values() if value is not None]
        runner = [value for value in self.runner.values() if value is not None]
        named: list[Any] = [self.optimizers, self.size, self.sampler, self.pruner]
        named += [self.compare, self.seeds, self.seconds_each]
        lists = [self.params, self.metrics, self.directions, self.tags, budget, runner]
        return any(value is not None for value in named) or any(lists)


def create(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The study's name; with --file it replaces its."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="A study file (YAML or JSON); - is stdin."
        ),
    ] = None,
    optimizers: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Search these optimizers, e.g. adam,sgd."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Compare these optimizers fairly, e.g. adamw,nesterov,lbfgs."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="K", help="With --compare: fresh seeds that confirm each (5)."),
    ] = None,
    seconds_each: Annotated[
        float | None,
        typer.Option(
            "--seconds-each", metavar="S", help="With --compare: seconds of training of each."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="How much of each optimizer: small, medium, large."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="A parameter, see below. May be repeated."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Objective (val_loss). Repeat for several."),
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(metavar="WAY", help="minimize (the default) or maximize, one per metric."),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(metavar="NAME", help="E.g. gp, or gp:seed=7.")
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(metavar="NAME", help="E.g. asha, or asha:min_step=1.")
    ] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Budget: trials.")] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Budget: seconds with a trial running.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(metavar="V", help="Budget: stop when the objective is there.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="DATASET/MODEL", help="Built-in training, e.g. digits/mlp."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the task, e.g. epochs=27."),
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="A callable taking a Trial.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="ARGV", help="A program, e.g. 'python train.py --lr {lr}'."),
    ] = None,
    gpus: Annotated[float | None, typer.Option(metavar="N", help="GPUs of one trial.")] = None,
    cpus: Annotated[float | None, typer.Option(metavar="N", help="Cores of one trial.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds for one attempt.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag. May be repeated.")
    ] = None,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="The same study may exist already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the expanded study, store nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Create a study from flags or from a file."""
    flags = Flags(
        optimizers,
        size,
        param or [],
        metric or [],
        direction or [],
        sampler,
        pruner,
        {"trials": trials, "seconds": seconds, "target": target},
        tag or [],
        {"task": task, "set": set_, "python": python, "command": command,
         "gpus": gpus, "cpus": cpus, "timeout": timeout},
        compare,
        seeds,
        seconds_each,
    )  # fmt: skip
    data = _data(name, file, flags)
    session = open_session(ctx, json=json)
    if dry_run:
        _show_expanded(session, data)
    else:
        _create(session, data, exist_ok=exist_ok)


def _data(name: str | None, file: Path | None, flags: Flags) -> dict[str, Any]:
    if file is None:
        return from_flags(name, flags)
    if flags.given:
        raise Invalid(
            "--file holds the whole study, so no flag that describes one goes with it.",
            hint="Write it into the file, or leave --file out.",
        )
    data = studyfile.read(file)
    return data if name is None else {**data, "name": name}


def from_flags(name: str | None, flags: Flags) -> dict[str, Any]:
    """The study file that the flags stand for.

    Raises:
        Invalid: For what is missing or cannot be read.
    """
    if name is None:
        raise Invalid("The study needs a name.", hint="tuner study create NAME …, or --file FILE.")
    data: dict[str, Any] = {"name": name, "objectives": _objectives(flags), "space": _space(flags)}
    compare = _compare(flags)
    if compare:
        data["compare"] = compare
    if flags.sampler is not None:
        data["sampler"] = grammar.named(flags.sampler)
    if flags.pruner is not None:
        data["pruner"] = grammar.named(flags.pruner)
    budget = {key: value for key, value in flags.budget.items() if value is not None}
    if budget:
        data["budget"] = budget
    trial = _trial(flags.runner)
    if trial:
        data["trial"] = trial
    if flags.tags:
        data["tags"] = grammar.pairs(flags.tags, "A tag is --tag KEY=VALUE")
    return data


def _objectives(flags: Flags) -> list[dict[str, str]]:
    metrics = flags.metrics or ["val_loss"]
    directions = flags.directions or ["minimize"] * len(metrics)
    if len(directions) != len(metrics):
        raise Invalid(
            f"{len(metrics)} --metric and {len(directions)} --direction do not fit together.",
            hint="Give one --direction for each --metric, in the same order.",
        )
    return [
        {"metric": metric, "direction": direction}
        for metric, direction in zip(metrics, directions, strict=True)
    ]


def _compare(flags: Flags) -> dict[str, Any]:
    """The key `compare`, empty without --compare."""
    if flags.compare is None:
        for option, value in (("--seeds", flags.seeds), ("--seconds-each", flags.seconds_each)):
            if value is not None:
                raise Invalid(
                    f"{option} goes with --compare.", hint="For example --compare adamw,nesterov."
                )
        return {}
    if flags.optimizers is not None:
        raise Invalid(
            "--compare names the optimizers itself.", hint="Leave --optimizers or --compare out."
        )
    compare: dict[str, Any] = {"optimizers": _names(flags.compare)}
    if flags.seconds_each is not None:
        compare["seconds"] = flags.seconds_each
    if flags.seeds is not None:
        compare["seeds"] = flags.seeds
    return compare


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _space(flags: Flags) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for text in flags.params:
        name, entry = grammar.parameter(text)
        if name in parameters:
            raise Invalid(f"--param {name} is given twice.", hint="Leave one of them out.")
        parameters[name] = entry
    space: dict[str, Any] = {}
    chosen = flags.optimizers if flags.compare is None else flags.compare
    if chosen is not None:
        names = _names(chosen)
        space["optimizers"] = {"names": names, "size": flags.size} if flags.size else names
    elif flags.size is not None:
        raise Invalid("--size goes with --optimizers.", hint="For example --optimizers adam,sgd.")
    if parameters:
        space["parameters"] = parameters
    if not space:
        raise Invalid(
            "The search space is empty.",
            hint="Give --optimizers adam,sgd or --param 'lr=float:1e-5:0.1:log'.",
        )
    return space


def _trial(runner: dict[str, Any]) -> dict[str, Any]:
    """The key `trial`, empty without a runner."""
    trial: dict[str, Any] = {}
    if runner["task"] is not None:
        dataset, slash, model = runner["task"].rpartition("/")
        if not slash or not dataset or not model:
            raise Invalid(f"--task {runner['task']!r} names no data set and model.", hint=_TASK)
        options = grammar.pairs(runner["set"] or [], "An option of the task is --set KEY=VALUE")
        trial["task"] = {"dataset": dataset, "model": model, **options}
    elif runner["set"]:
        raise Invalid("--set gives options of the task.", hint=f"Add {_TASK}.")
    if runner["python"] is not None:
        trial["python"] = runner["python"]
    if runner["command"] is not None:
        trial["command"] = _argv(runner["command"])
    resources = {key: runner[key] for key in ("gpus", "cpus") if runner[key] is not None}
    extra = {"resources": resources} if resources else {}
    if runner["timeout"] is not None:
        extra["timeout"] = runner["timeout"]
    if extra and not trial:
        raise Invalid(
            "--gpus, --cpus and --timeout say how a trial runs, but there is nothing to run.",
            hint="Add --task, --python or --command.",
        )
    return {**trial, **extra}


def _argv(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Invalid(f"--command cannot be split into words: {error}.") from error


def _show_expanded(session: Session, data: dict[str, Any]) -> None:
    with session.any_client() as client:
        study = client.rest.create_study(data, dry_run=True)
    session.out.warn(study)
    for key, path in studyfile.missing_paths(StudySpec.read(data)):
        session.out.say(f"{key}: there is no {path} here; it must be where a worker is started.")
    if session.out.json:
        session.out.document(study)
    else:
        session.out.text(studyfile.to_yaml(studyfile.as_file(study)))


def _create(session: Session, data: dict[str, Any], *, exist_ok: bool) -> None:
    with session.client() as client:
        try:
            is_new, study = client.rest.ensure_study(data)
        except StudyExists as error:
            raise Conflict(
                error.message, hint=error.hint or "Choose another name, or delete the study."
            ) from error
    name = study["name"]
    if not is_new and not exist_ok:
        raise StudyExists(
            f"Study {name!r} exists already, with this very specification.",
            hint="Nothing was changed. Use it, give --exist-ok, or choose another name.",
        )
    session.out.warn(study)
    if session.out.json:
        session.out.document(study)
        return
    session.out.text(name)
    made = "Created study" if is_new else "There is already the same study"
    parameters = len(study.get("expanded_space", {}).get("parameters", {}))
    plural = "" if parameters == 1 else "s"
    session.out.say(f"{made} {name} with {parameters} parameter{plural}.")
    for line in [] if session.settings.url else extras.missing(study):
        session.out.say(line)
    if study.get("trial"):
        session.out.say("Run its trials: tuner worker start, on any machine that reaches it.")
