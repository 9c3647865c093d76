"""`tuner study run FILE`: create or resume, run trials here, show progress and the result."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tuner.cli import (
    errors,
    extras,
    interrupt,
    optional,
    precheck,
    result,
    study_advise,
    studyfile,
)
from tuner.cli.options import Json
from tuner.cli.output import Output, cell
from tuner.cli.progress import Display
from tuner.cli.session import Session, open_session
from tuner.client.client import Client
from tuner.core.study import StudySpec
from tuner.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Invalid,
    StudyExists,
    StudyNotFound,
    TunerError,
    WorkerError,
)

if TYPE_CHECKING:
    from tuner.worker.local import LocalWorkers

POLL_S: Final = 0.5
_ABORT_S: Final = 10.0
_TICK_S: Final = 0.05
_COMPARED: Final = ("objectives", "constraints", "space", "sampler", "pruner", "compare", "trial")
_BUDGET: Final = ("trials", "seconds", "target")


def run(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A study file (YAML or JSON); - is stdin.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use this name instead of the file's.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "--slots", min=1, metavar="N", help="Trials at the same time here."
        ),
    ] = None,
    devices: Annotated[
        str, typer.Option(metavar="LIST", help="auto, cpu, or e.g. cuda:0,cuda:1.")
    ] = "auto",
    json: Json = False,
) -> None:
    """Create or resume a study and run its trials here.

    A changed budget or tags in FILE are applied; any other change needs a new name. At the end
    the result is printed. Ctrl-C, or closing the pipe that shows progress, gives running trials
    back and leaves the study active: run the same command to go on.
    `tuner study best` and `watch` work in another terminal meanwhile.
    """
    session = open_session(ctx, json=json)
    data = studyfile.read(file)
    if name is not None:
        data["name"] = name
    spec = StudySpec.read(data)
    if spec.trial is None:
        raise Invalid(
            f"{file} has no key trial, so there is nothing to run.",
            hint="Add trial: with a task, python or command; or ask and tell by yourself.",
        )
    precheck.require(spec, session.out)
    with session.client() as client:
        # first what may refuse, so that nothing is made then
        local = _local_workers(client, spec.name, spec.trial.runner, workers, devices)
        need = spec.trial.resources.model_dump()
        with _ended_by_closed_pipe():
            study = create_or_resume(session.out, client, data, lambda: local.require(need))
            if study["state"] != "finished":
                study = _run_here(session, client, local, spec.name)
        _finish(session, client, study)


@contextmanager
def _ended_by_closed_pipe() -> Iterator[None]:
    """Whoever closes the pipe that shows progress wants no more of it: as after Ctrl-C."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        if not errors.is_closed_pipe(error):
            raise
        errors.silence()
        raise typer.Exit(EXIT_INTERRUPTED) from None


def create_or_resume(
    out: Output,
    client: Client,
    data: dict[str, Any],
    require: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The study of a file, made if it is new, made active and given the file's budget if not.

    Args:
        out: Says what is done.
        client: Where the study is or will be.
        data: The file.
        require: Called before trials are to run: raises what keeps them from running here.

    Raises:
        NotAvailable: If an optimizer needs an extra that is not installed here.
        StudyExists: If the name is taken by a study that differs in more than budget and tags.
    """
    wanted = client.rest.create_study(data, dry_run=True)
    name = wanted["name"]
    try:
        study: dict[str, Any] = client.rest.get_study(name)
    except StudyNotFound:
        extras.require(wanted)
        require()
        is_new, study = client.rest.ensure_study(data)
        if is_new:
            out.say(f"Created study {name}.")
            out.warn(study)
            return study
    _require_same(study, wanted)
    if study["state"] != "finished" or _plain(study.get("budget")) != _plain(wanted.get("budget")):
        extras.require(wanted)
        require()
    study = _apply_changes(out, client, study, wanted)
    if study["state"] == "paused":
        study = client.rest.change_study(name, state="active")
        out.say(f"Resumed study {name}, which was paused.")
    elif study["state"] == "active":
        out.say(f"Going on with study {name}: {cell(study['counts'])}.")
    else:
        reason = f" ({study['state_reason']})" if study.get("state_reason") else ""
        out.say(f"Study {name} is finished{reason}. To go on: {_way_on(study)}.")
    return study


def _way_on(study: Mapping[str, Any]) -> str:
    """What makes a finished study active again."""
    if study.get("state_reason") == "stopped":
        return f"tuner study resume {study['name']}"
    if study.get("state_reason") == "target reached":
        return "another budget.target in the file"
    return "a larger budget in the file"


def _require_same(study: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    # what each optimizer of a comparison is tuned with is a budget, and may change
    study = {**study, "compare": _without_budget(study)}
    wanted = {**wanted, "compare": _without_budget(wanted)}
    different = [key for key in _COMPARED if _plain(study.get(key)) != _plain(wanted.get(key))]
    if different:
        name = study["name"]
        raise StudyExists(
            f"Study {name} exists and differs from the file in {', '.join(different)}:"
            f" {differences(study, wanted, different)}.",
            hint=f"Only budget and tags may change. Start a new study: --name {name}-2, or put"
            " the old values back.",
        )


def _without_budget(study: Mapping[str, Any]) -> dict[str, Any] | None:
    compare = study.get("compare")
    if compare is None:
        return None
    kept = {key: compare[key] for key in compare if key not in ("trials", "seconds")}
    return {**kept, "by": "seconds" if "seconds" in compare else "trials"}


def differences(
    study: Mapping[str, Any], wanted: Mapping[str, Any], keys: list[str], limit: int = 3
) -> str:
    """Which values below `keys` differ: `sampler.seed is 0, the file says 7`."""
    found: list[str] = []
    for key in keys:
        _compare(key, study.get(key), wanted.get(key), found)
    more = f" (and {len(found) - limit} more)" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more


def _compare(path: str, old: Any, new: Any, found: list[str]) -> None:
    if _plain(old) == _plain(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            _compare(f"{path}.{key}", old.get(key), new.get(key), found)
        return
    found.append(f"{path} is {_short(old)}, the file says {_short(new)}")


def _short(value: Any) -> str:
    text = "not set" if value in (None, [], {}) else cell(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _plain(value: Any) -> Any:
    """Lists and tuples alike; what is empty counts as not given."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value] or None
    if isinstance(value, Mapping):
        kept = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None} or None
    return value


def _apply_changes(
    out: Output, client: Client, study: dict[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the study the file's budget and tags where they differ, and say so."""
    change: dict[str, Any] = {}
    if _is_other_budget(client, study, wanted):
        budget = wanted.get("budget") or {}
        change["budget"] = {key: budget.get(key) for key in _BUDGET}
    if _plain(study.get("tags")) != _plain(wanted.get("tags")):
        change["tags"] = wanted.get("tags") or {}
    each = study.get("compare")
    if each and each != wanted["compare"]:
        key = "seconds" if "seconds" in each else "trials"
        change["compare"] = {key: wanted["compare"][key]}
    if not change:
        return study
    changed: dict[str, Any] = client.rest.change_study(study["name"], **change)
    for key in change:
        before, after = _short(_plain(study.get(key))), _short(_plain(changed.get(key)))
        out.say(f"Changed {key} of study {study['name']}: {before} -> {after}.")
    return changed


def _is_other_budget(client: Client, study: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the file asks for another budget; what a confirmation has added does not count."""
    now, then = dict(study.get("budget") or {}), dict(wanted.get("budget") or {})
    if _plain(now) == _plain(then):
        return False
    has_more = (now.pop("trials", None) or 0) > (then.pop("trials", None) or math.inf)
    if not has_more or _plain(now) != _plain(then):
        return True
    if study.get("compare"):
        return bool(study["compare"] != wanted["compare"])
    waiting = client.rest.list_trials(study["name"], state="waiting", limit=1000)["items"]
    return not any(result.is_replicate(trial) for trial in waiting)


def _local_workers(
    client: Client, name: str, runner: Mapping[str, Any], slots: int | None, devices: str
) -> LocalWorkers:
    """Workers on this machine that serve this study only, and run exactly what FILE says."""
    _require_posix()
    make: type[LocalWorkers] = optional.load("tuner.worker.local", "worker").LocalWorkers
    allow = optional.load("tuner.worker.allow", "worker").Allow
    return make(
        client, name, slots=slots, devices=devices, allow=allow.only(runner), executor="process"
    )


def _run_here(session: Session, client: Client, local: LocalWorkers, name: str) -> dict[str, Any]:
    """Run trials until the study is finished or somebody interrupts."""
    with interrupt.two_step() as asked:
        try:
            local.start()
            with Display(session.out) as display:
                study = follow(client, name, display.show, asked, lambda: _trouble(local))
            if study["state"] != "finished":
                session.out.say("Stopping: running trials go back. Ctrl-C again ends at once.")
            local.stop(reason="paused")
            _wait(local, asked)
        except KeyboardInterrupt:
            _end(local)
        except TunerError:
            _end(local)
            raise
        except (BrokenPipeError, SystemExit) as error:
            if not errors.is_closed_pipe(error):
                raise
            errors.silence()
            local.stop(reason="paused")
            _wait(local, asked)
            study = client.rest.get_study(name)  # its last line may have found the pipe closed
            if study["state"] == "finished":
                return study
        else:
            if study["state"] == "finished":
                return study
    session.out.say(f"Study {name} stays active. Run the same command again to go on.")
    raise typer.Exit(EXIT_INTERRUPTED)


def _wait(local: LocalWorkers, asked: interrupt.Asked) -> None:
    """Wait for workers that stop; end them at the second Ctrl-C."""
    asked.is_polled = True
    while local.alive:
        if asked.again.wait(_TICK_S):
            _end(local)
            return
    local.join()


def _end(local: LocalWorkers) -> None:
    """End the workers' trials at once; they are still given back."""
    local.abort()
    local.join(_ABORT_S)


def _trouble(local: LocalWorkers) -> str | None:
    """Why the workers have ended; None while they work."""
    return None if local.alive else local.error or "nothing was left for them."


def follow(
    client: Client,
    name: str,
    show: Callable[[Mapping[str, Any]], None],
    asked: threading.Event,
    trouble: Callable[[], str | None],
) -> dict[str, Any]:
    """Show a study again and again until it is finished or `asked` is set.

    Raises:
        WorkerError: If the workers end before the study does.
    """
    while True:
        problem = trouble()
        study: dict[str, Any] = client.rest.get_study(name)
        show(study)
        if study["state"] == "finished" or asked.is_set():
            return study
        if problem is not None:
            raise WorkerError(
                f"The local workers ended, but study {name} is not finished: {problem}",
                hint="Run the same command again to go on.",
            )
        asked.wait(POLL_S)


def _finish(session: Session, client: Client, study: dict[str, Any]) -> None:
    """Print the result; without one the command has failed."""
    if session.out.json:
        session.out.document(study)
        found = bool(study.get("best") or _front(client, study))
        if not found:
            trials = result.all_trials(client, study["name"])
            result.explain_failure(session.out, study["name"], trials)
    else:
        found = result.show_result(session.out, client, study)
        if not session.out.quiet:
            study_advise.say_top(session.out, client, study["name"])
    if not found:
        raise typer.Exit(EXIT_FAILED)


def _front(client: Client, study: Mapping[str, Any]) -> list[Any]:
    if len(study["objectives"]) < 2:
        return []
    items: list[Any] = client.rest.pareto(study["name"])["items"]
    return items


def _require_posix() -> None:
    if os.name == "nt":
        raise Invalid("Trials do not run on Windows itself.", hint="Use WSL.")
