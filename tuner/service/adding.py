"""Enqueue trials to be run, and import finished ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from tuner.core.lifecycle import Reason, TrialState
from tuner.core.messages import Measurement, NewTrial, NewTrials, as_float
from tuner.core.model import join, parse
from tuner.core.ranking import choose, loss
from tuner.core.study import StudySpec
from tuner.core.wire import check_plain, dumps, encode_metric
from tuner.errors import AlreadyReported, BudgetSpent, Conflict, Invalid
from tuner.samplers import registry as samplers
from tuner.samplers.base import Request
from tuner.service.confirming import CONFIRMS, RESERVED, owed, replicate_of
from tuner.service.ending import judge, note_best, require_objectives
from tuner.service.idempotency import Answer
from tuner.service.settling import settle
from tuner.service.specification import pruned_metric, space_of, spec_of
from tuner.service.state import Ledger, closing_reason, study_of, trial_of
from tuner.service.views import store_values, trial_view
from tuner.storage import events, measurements, trials
from tuner.storage.engine import Tx


def read_body(data: Any) -> tuple[list[NewTrial], bool]:
    """The trials of a body, and whether it was a single one.

    Raises:
        Invalid: With the path of the mistake.
    """
    check_plain(data)
    if isinstance(data, dict) and "trials" in data:
        return list(parse(NewTrials, data).trials), False
    return [parse(NewTrial, data)], True


def add(tx: Tx, name: str, new: Sequence[NewTrial], *, single: bool) -> Answer:
    """Enqueue or import trials, all or none.

    Raises:
        BudgetSpent: If enqueued trials would exceed the budget.
        Conflict: If the study is stopped and trials are enqueued.
        Invalid: For parameters or values that do not fit, with the path.
    """
    study = study_of(tx, name, lock=True)
    ledger = Ledger(study)
    _check_room(tx, ledger, sum(item.state is None for item in new))
    spec = spec_of(study.spec)
    numbers = []
    for i, item in enumerate(new):
        path = "" if single else f"trials[{i}]"
        number = int(ledger.current("next_number"))
        if item.state is None:
            _enqueue(tx, ledger, spec, item, number, path)
        else:
            _import(tx, ledger, spec, item, number, path)
        ledger.add("next_number", 1)
        numbers.append(number)
    settle(tx, ledger)
    views = [trial_view(trial_of(tx, study, number), name) for number in numbers]
    return Answer(201, views[0] if single else {"trials": views})


def _check_room(tx: Tx, ledger: Ledger, wanted: int) -> None:
    study = ledger.study
    if not wanted:
        return
    closed = closing_reason(ledger, tx.now)
    if closed:
        raise Conflict(
            f"Study {study.name!r} takes no more trials: {closed}.",
            hint=f"Resume it or raise its budget: tuner study resume {study.name}",
        )
    limit = study.budget_trials
    if limit is None:
        return
    left = max(0, limit - study.numbers_made - owed(ledger))
    if wanted > left:
        raise BudgetSpent(
            f"Study {study.name!r} has {left} of {limit} trials left, {wanted} are to be enqueued.",
            hint=f"Raise the budget with: tuner study edit {study.name} --trials N",
        )


def _enqueue(
    tx: Tx, ledger: Ledger, spec: StudySpec, item: NewTrial, number: int, path: str
) -> None:
    for key in ("values", "measurements", "reason"):
        if getattr(item, key):
            raise Invalid.at(
                join(path, key),
                "goes with a finished trial (state complete, pruned or fail); an enqueued one"
                " takes only params and user_attrs.",
            )
    for key in RESERVED:
        if key in item.user_attrs:
            raise Invalid.at(
                join(path, "user_attrs", key),
                "marks a trial that confirms another one on a fresh seed, and is given by the"
                " server only.",
                found=key,
                hint="To run the best settings again: tuner study confirm.",
            )
    study = ledger.study
    space = space_of(study.expanded)
    fixed = space.check_partial(item.params, join(path, "params"))
    complete = all(name in fixed for name in space.active(fixed))
    params: dict[str, Any] | None = fixed
    if complete:
        params = space.check(fixed, join(path, "params"))
    elif fixed and samplers.needs_history(spec.sampler.name):
        params = None
    else:
        params = _complete(spec, study, fixed, number)
    row = _new_row(tx, study, number, TrialState.WAITING, item)
    row |= {
        "params": None if params is None else dumps(params),
        "fixed": dumps(fixed),
        "diverged": False,
        "feasible": True,
    }
    trials.add(tx, [row])
    ledger.move(None, TrialState.WAITING)
    ledger.add("numbers_made", 1)
    events.add(tx, study, "trial.enqueued", number)


def _complete(
    spec: StudySpec, study: Row[Any], fixed: dict[str, Any], number: int
) -> dict[str, Any]:
    """Fill a partial trial at random; the sampler's own sequence is left alone."""
    seed = int(spec.sampler.options.get("seed", 0))
    request = Request(
        space=space_of(study.expanded),
        seed=seed,
        # far beyond any index of the study's own sequence
        index=2**40 + number,
        count=1,
        history=(),
        pending=(),
        fixed=fixed,
        n_objectives=len(spec.objectives),
    )
    sampler = samplers.build({"name": "random", "seed": seed})
    return dict(sampler.suggest(request)[0].params)


def _import(
    tx: Tx, ledger: Ledger, spec: StudySpec, item: NewTrial, number: int, path: str
) -> None:
    study = ledger.study
    state = TrialState(item.state or TrialState.COMPLETE)
    if item.reason is not None and state != TrialState.FAIL:
        raise Invalid.at(join(path, "reason"), "goes with state fail.", found=str(item.reason))
    params = space_of(study.expanded).check(item.params, join(path, "params"))
    values = {name: as_float(value) for name, value in (item.values or {}).items()}
    if state == TrialState.COMPLETE:
        _from_measurements(spec, item, values)
        reported = {metric for m in item.measurements for metric in m.values}
        require_objectives(spec, values, path, reported)
    outcome = judge(spec, state, values)
    row = _new_row(tx, study, number, state, item)
    row |= {
        "confirms": _repeated(tx, study, item, params, path),
        "params": dumps(params),
        "fixed": dumps(params),
        "metrics": store_values(values),
        "message": item.message,
        "reason": str(item.reason or Reason.ERROR) if state == TrialState.FAIL else None,
        "finished_at": tx.now,
        "result_seq": ledger.next_result() if state != TrialState.FAIL else None,
        **_progress(spec, item.measurements),
        **outcome,
    }
    trial_id = trials.add(tx, [row])[number]
    _store(tx, trial_id, item.measurements, path)
    ledger.move(None, state)
    if row["confirms"] is None:
        note_best(ledger, trial_id, outcome["loss"])
    events.add(tx, study, "trial.imported", number, state=str(state))


def _repeated(
    tx: Tx, study: Row[Any], item: NewTrial, params: dict[str, Any], path: str
) -> int | None:
    """The trial that an imported replicate repeats; it must be here, with the same parameters."""
    if not set(item.user_attrs) & set(RESERVED):
        return None
    pair = replicate_of(item.user_attrs)
    original = None if pair is None else trials.find(tx, study.id, pair[0])
    if pair is None or original is None or original.params != dumps(params):
        raise Invalid.at(
            join(path, "user_attrs", CONFIRMS),
            "must be the number of a trial of this study with the same parameters, and replicate"
            " 1, 2, …; leave both out to import it as a trial of the search.",
            found=str(item.user_attrs.get(CONFIRMS))[:80],
            allowed="a trial's number",
            hint="An export keeps its numbers when it is imported into a study without trials.",
        )
    return pair[0]


def _new_row(
    tx: Tx, study: Row[Any], number: int, state: TrialState, item: NewTrial
) -> dict[str, Any]:
    check_plain(item.user_attrs, "user_attrs")
    return {
        "study_id": study.id,
        "number": number,
        "state": str(state),
        "user_attrs": dumps(item.user_attrs),
        "created_at": tx.now,
    }


def _from_measurements(spec: StudySpec, item: NewTrial, values: dict[str, float]) -> None:
    """Objectives and constraints that were not told, from the imported measurements."""
    wanted = [(o.metric, o.from_, o.direction) for o in spec.objectives]
    wanted += [(c.metric, "last", "minimize") for c in spec.constraints]
    for metric, how, direction in wanted:
        rows = [
            (m.step, as_float(m.values[metric])) for m in item.measurements if metric in m.values
        ]
        chosen = choose(rows, how, direction)
        if metric not in values and chosen is not None:
            values[metric] = chosen


def _progress(spec: StudySpec, items: Sequence[Measurement]) -> dict[str, Any]:
    metric, direction = pruned_metric(spec)
    rows = [(m.step, as_float(m.values[metric])) for m in items if metric in m.values]
    if not rows:
        return {"last_step": None, "last_loss": None, "best_loss": None}
    last = loss(max(rows)[1], direction)
    best = choose(rows, "best", direction)
    finite = None if last in (float("inf"), float("-inf")) else last
    known = None if best is None else loss(best, direction)
    return {
        "last_step": max(rows)[0],
        "last_loss": finite,
        "best_loss": None if known in (None, float("inf")) else known,
    }


def _store(tx: Tx, trial_id: int, items: Sequence[Measurement], path: str) -> None:
    rows = []
    for item in items:
        for metric, value in item.values.items():
            number = as_float(value)
            rows.append((item.step, metric, None if encode_metric(number) == "NaN" else number))
    clash = measurements.add(tx, trial_id, 0, rows) if rows else None
    if clash is not None:
        raise AlreadyReported.at(
            join(path, "measurements"), f"step {clash[0]} has two values of {clash[1]!r}."
        )
