"""What a finished run comes to: the best of each optimizer, the best trial, or why there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from tuner.cli import views
from tuner.cli.output import Output, cell
from tuner.cli.paging import collect
from tuner.client.client import Client
from tuner.core.names import OPTIMIZER
from tuner.core.ranking import is_feasible, loss
from tuner.core.wire import decode_metric

Json = Mapping[str, Any]
_TOP_REASONS: Final = 3
_COUNTED: Final = ("complete", "pruned")


def show_result(out: Output, client: Client, study: Json) -> bool:
    """Print the result of a study.

    Returns:
        Whether there is one.
    """
    trials = all_trials(client, study["name"])
    found = _show_front(out, client, study) if len(study["objectives"]) > 1 else False
    if study.get("best"):
        found = True
        winners = best_by_optimizer(client, study, trials)
        if winners:
            _show_winners(out, client, study, winners, confirmed(study, trials))
        else:
            views.show_trial(out, study["best"])
            _say_confirmed(out, study, trials)
    if found:
        out.say(_summary(study, trials))
    else:
        explain_failure(out, study["name"], trials)
    return found


def _summary(study: Json, trials: list[Json]) -> str:
    """How many trials, how long they ran, and where to read on."""
    spans = [
        views.seconds_between(trial.get("started_at"), trial.get("finished_at"))
        for trial in trials
    ]
    # not their seconds of training: reading those takes a request for each trial
    running = views.duration(sum(span for span in spans if span is not None))
    searching = views.duration(study.get("timing", {}).get("search_seconds", 0.0))
    number = len(trials)
    return (
        f"{number} trial{'' if number == 1 else 's'} ({views.counts(study)}); they ran {running}"
        f" in all, searching took {searching}. More: tuner study report {study['name']}"
    )


def best_by_optimizer(client: Client, study: Json, trials: list[Json]) -> list[Json]:
    """The best feasible, finite trial of each optimizer, best first.

    A trial that was stopped early stands for an optimizer only if none of its trials is complete.
    """
    objective = study["objectives"][0]
    metric, direction = objective["metric"], objective["direction"]
    constraints = study.get("constraints", ())

    def score(trial: Json) -> tuple[bool, float]:
        number = decode_metric(trial["values"].get(metric))
        reached = float("inf") if number is None else loss(number, direction)
        return trial["state"] != "complete", reached

    best: dict[str, Json] = {}
    for trial in trials:
        if is_replicate(trial):
            continue
        optimizer = trial["params"].get(OPTIMIZER)
        is_candidate = trial["state"] in _COUNTED and not trial["diverged"]
        if not isinstance(optimizer, str) or not is_candidate:
            continue
        values = {key: _number(value) for key, value in trial["values"].items()}
        if constraints and not _feasible(client, trial, values, constraints):
            continue
        if optimizer not in best or score(trial) < score(best[optimizer]):
            best[optimizer] = trial
    return sorted(best.values(), key=score)


def is_replicate(trial: Json) -> bool:
    """Whether a trial repeats another one on a fresh seed."""
    return "confirms" in (trial.get("user_attrs") or {})


def confirmed(study: Json, trials: list[Json]) -> dict[int, list[float]]:
    """The objective's values on fresh seeds, by the number of the trial that was repeated.

    A replicate that diverged counts as NaN; one that failed does not count.
    """
    metric = study["objectives"][0]["metric"]
    found: dict[int, list[float]] = {}
    for trial in trials:
        if is_replicate(trial) and trial["state"] == "complete":
            number = trial["user_attrs"]["confirms"]
            found.setdefault(number, []).append(_number(trial["values"].get(metric)))
    return found


def describe_confirmed(values: list[float], direction: str) -> str | None:
    """`0.31 (5 seeds)`: the median, and over how many."""
    if not values:
        return None
    middle = sorted(values, key=lambda value: loss(value, direction))  # type: ignore[arg-type]
    low, high = middle[(len(middle) - 1) // 2], middle[len(middle) // 2]
    number = len(values)
    return f"{cell((low + high) / 2)} ({number} seed{'' if number == 1 else 's'})"


def explain_failure(out: Output, name: str, trials: list[Json]) -> None:
    """Say why a study has no result: the most frequent reasons, with an example of each."""
    failed = [trial for trial in trials if trial["state"] == "fail"]
    reasons = Counter(str(trial.get("reason")) for trial in failed)
    out.say(f"Study {name} finished without a result.", style="red")
    for reason, count in reasons.most_common(_TOP_REASONS):
        example = next(trial for trial in failed if str(trial.get("reason")) == reason)
        message = cell(example.get("message") or "no message")
        out.say(
            f"  {reason}: {count} trial{'' if count == 1 else 's'}, e.g. trial {example['number']}: {message[:300]}"
        )
    if failed:
        out.say(f"Read what one wrote: tuner trial log {name} {failed[0]['number']}")
    else:
        ended = "No trial ended with a finite value that keeps the constraints."
        out.say(f"  {ended if trials else 'No trial was run.'}")


def _show_front(out: Output, client: Client, study: Json) -> bool:
    front = client.rest.pareto(study["name"])["items"]
    if not front:
        return False
    out.table(views.TRIAL_COLUMNS, [views.trial_row(trial, study) for trial in front])
    return True


def _say_confirmed(out: Output, study: Json, trials: list[Json]) -> None:
    values = confirmed(study, trials).get(study["best"]["number"], [])
    text = describe_confirmed(values, study["objectives"][0]["direction"])
    if text is not None:
        out.say(f"On fresh seeds the median is {text}.")


def _show_winners(
    out: Output,
    client: Client,
    study: Json,
    winners: list[Json],
    fresh: Mapping[int, list[float]],
) -> None:
    metric = study["objectives"][0]["metric"]
    direction = study["objectives"][0]["direction"]
    rows = []
    for trial in winners:
        rows_of = measurements(client, study["name"], trial["number"])
        at = values_at(rows_of, study["objectives"][0], trial["values"].get(metric))
        seconds = training_seconds(trial, rows_of)
        rows.append(
            [
                trial["params"][OPTIMIZER],
                trial["number"],
                trial["values"].get(metric),
                describe_confirmed(fresh.get(trial["number"], []), direction),
                at.get("val_accuracy"),
                max((row["step"] for row in rows_of), default=None),
                None if seconds is None else f"{seconds:.1f}",
                describe_end(trial, rows_of, metric),
                {name: value for name, value in trial["params"].items() if name != OPTIMIZER},
            ]
        )
    measured = [">trial", f">{metric}", ">confirmed", ">val_accuracy", ">epochs", ">seconds"]
    columns = [OPTIMIZER, *measured, "note", "params"]
    hidden = {i for i in (3, 4, 5, 7) if all(row[i] is None for row in rows)}
    hidden |= {4} if metric == "val_accuracy" else set()
    kept = [i for i in range(len(columns)) if i not in hidden]
    out.table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def describe_end(trial: Json, rows: list[Json], metric: str) -> str | None:
    """What the value alone does not tell: the trial did not train to its end."""
    if trial["state"] != "complete":
        return "stopped early"
    last = next((row["values"][metric] for row in reversed(rows) if metric in row["values"]), 0.0)
    return None if math.isfinite(_number(last)) else "diverged later"


def training_seconds(trial: Json, rows: list[Json]) -> float | None:
    """Seconds of training as the last attempt reported them, else from its start to its end."""
    reported = [
        value
        for row in rows
        if row["attempt"] == trial.get("attempt")
        and (value := decode_metric(row["values"].get("seconds"))) is not None
        and math.isfinite(value)
    ]
    spent = views.seconds_between(trial.get("started_at"), trial.get("finished_at"))
    return max(reported, default=spent)


def measurements(client: Client, name: str, number: int) -> list[Json]:
    """What a trial reported, by step; the newest attempt last."""

    def fetch(limit: int, cursor: str | None) -> dict[str, Any]:
        page: dict[str, Any] = client.rest.measurements(name, number, cursor=cursor, limit=limit)
        return page

    rows: list[Json] = collect(fetch, None)["items"]
    return sorted(rows, key=lambda row: (row["step"], row["attempt"]))


def values_at(rows: list[Json], objective: Json, value: Any) -> dict[str, Any]:
    """The metrics at the step whose value stands for the trial: the best or the last one."""
    found: dict[str, Any] = {}
    for row in rows:
        found.update(row["values"])
        if objective.get("from") == "best" and row["values"].get(objective["metric"]) == value:
            break
    return found


def _feasible(
    client: Client, trial: Json, values: dict[str, float], constraints: list[Json]
) -> bool:
    if any(constraint["metric"] not in values for constraint in constraints):
        reported: dict[str, float] = {}
        for row in measurements(client, trial["study"], trial["number"]):
            reported |= {key: _number(value) for key, value in row["values"].items()}
        values = {**reported, **values}
    return is_feasible(values, constraints)


def all_trials(client: Client, name: str) -> list[Json]:
    """Every trial of a study, page by page."""

    def fetch(limit: int, cursor: str | None) -> dict[str, Any]:
        page: dict[str, Any] = client.rest.list_trials(name, cursor=cursor, limit=limit)
        return page

    items: list[Json] = collect(fetch, None)["items"]
    return items


def _number(value: Any) -> float:
    number = decode_metric(value)
    return float("nan") if number is None else number
