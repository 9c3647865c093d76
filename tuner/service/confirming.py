"""Confirmation: the best settings run again on fresh seeds.

A replicate is a waiting trial with the very parameters of the trial that it repeats, and with
`user_attrs` `{"confirms": its number, "replicate": 1, 2, …}`. Samplers do not learn from
replicates, pruners leave them alone, and none is ever the best of its study.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.lifecycle import StudyState, TrialState
from tuner.core.messages import Confirm
from tuner.core.names import OPTIMIZER
from tuner.core.study import StudySpec
from tuner.core.wire import dumps
from tuner.errors import Conflict, NoResultYet
from tuner.service import branches
from tuner.service.specification import size_of
from tuner.service.state import Ledger, is_spent, kept, trial_of
from tuner.service.views import trial_view
from tuner.storage import comparison, events, trials
from tuner.storage.engine import Tx

CONFIRMS: Final = "confirms"
REPLICATE: Final = "replicate"
RESERVED: Final = (CONFIRMS, REPLICATE)
# One replicate: the trial that it repeats, and which it is.
Plan = list[tuple[Row[Any], int]]


def enqueue(tx: Tx, ledger: Ledger, body: Confirm) -> list[int]:
    """Queue replicates of the best settings; the numbers of the new trials.

    Calling again adds fresh seeds: replicates are numbered on from those that exist. Numbers that
    the budget lacks are added to it. A finished study becomes active again; of one that was
    stopped nothing but the replicates (and what still waits) is run.

    Raises:
        Conflict: If the study has several objectives.
        NoResultYet: If it has no feasible, finite, complete trial.
    """
    study, spec = ledger.study, ledger.spec
    if len(spec.objectives) > 1:
        raise Conflict(
            f"Study {study.name!r} has several objectives, so it has no best setting to confirm.",
            hint="Enqueue the settings to repeat: tuner study enqueue.",
        )
    chosen = _best(tx, study.id, spec, body.top)
    if not chosen:
        raise NoResultYet(
            f"Study {study.name!r} has no feasible, finite, complete trial yet.",
            hint=f"See its trials with: tuner study trials {study.name}",
        )
    last = _last_replicates(tx, study.id)
    plan = [
        (row, last[row.number] + i + 1)
        for i in range(body.seeds)
        for group in chosen.values()
        for row in group
    ]
    _resume(ledger, len(plan))
    return _enqueue(tx, ledger, plan)


def enqueue_due(tx: Tx, ledger: Ledger) -> None:
    """Queue what a comparison whose search is over still lacks of its confirmation.

    The best setting of each optimizer needs `compare.seeds` replicates; those that exist count,
    however they ended, so nothing is ever queued twice. A search that was stopped gets those that
    were asked for, and no others.
    """
    compare = ledger.spec.compare
    if compare is None or not is_spent(ledger):
        return
    if ledger.current("n_running") or ledger.current("n_waiting"):
        return
    if not branches.is_searched(tx, ledger):
        return
    chosen = _best(tx, ledger.study.id, ledger.spec, 1)
    there = Counter(row.confirms for row in comparison.replicates(tx, ledger.study.id))
    last = _last_replicates(tx, ledger.study.id)
    plan = [
        (row, last[row.number] + i + 1)
        for i in range(compare.seeds)
        for group in chosen.values()
        for row in group
        if there[row.number] + i < compare.seeds
    ]
    if plan:
        _make_room(ledger, len(plan))
        _enqueue(tx, ledger, plan)


def reopen_search(tx: Tx, ledger: Ledger) -> None:
    """Let a comparison go on whose search was cut short for a confirmation by hand."""
    if ledger.spec.compare is not None and not branches.is_searched(tx, ledger):
        ledger.values["size"] = size_of(ledger.spec)
        _make_room(ledger, 0)


def left_out(tx: Tx, ledger: Ledger) -> list[str]:
    """The compared optimizers without a result that could be confirmed."""
    found = _best(tx, ledger.study.id, ledger.spec, 1)
    return [name for name in ledger.spec.compared if name not in found]


def progress(tx: Tx, study_id: int) -> str | None:
    """`confirming: 7 of 20 trials have ended`; None before the confirmation."""
    ended, made = comparison.replicates_ended(tx, study_id)
    if ended == made:
        return None
    return f"confirming: {ended} of {made} trials on fresh seeds have ended"


def owed(ledger: Ledger) -> int:
    """Numbers that a comparison will still take for its search and confirmation."""
    spec = ledger.spec
    size = ledger.values.get("size", ledger.study.size)
    left = 0 if size is None else size - ledger.current("next_index")
    if spec.compare is None or left <= 0:
        return kept(ledger)
    return int(left) + len(spec.compared) * spec.compare.seeds


def view(tx: Tx, row: Row[Any], spec: StudySpec) -> dict[str, Any]:
    """How far a comparison is: `phase`, trials ended and all of them for both parts."""
    ended, made = comparison.replicates_ended(tx, row.id)
    seeds = 0 if spec.compare is None else spec.compare.seeds
    phase = "confirming" if made > ended else "searching"
    return {
        "phase": "complete" if row.state == StudyState.FINISHED else phase,
        "searched": sum(item.ended for item in comparison.branches_of(tx, row.id)),
        "search_trials": size_of(spec) if row.size is None else row.size,
        "confirmed": ended,
        "confirm_trials": made or len(spec.compared) * seeds,
    }


def replicate_of(user_attrs: Mapping[str, Any]) -> tuple[int, int] | None:
    """The pair that marks a replicate, None without a well-formed one."""
    pair: tuple[Any, Any] = (user_attrs.get(CONFIRMS), user_attrs.get(REPLICATE))
    if any(type(item) is not int for item in pair):
        return None
    return pair if pair[0] >= 0 and pair[1] >= 1 else None


def _best(tx: Tx, study_id: int, spec: StudySpec, top: int) -> dict[str, list[Row[Any]]]:
    """The best settings, `top` of each optimizer in a comparison, in the order of the optimizers.

    A setting that was tried twice counts once.
    """
    found: dict[str, list[Row[Any]]] = {name: [] for name in spec.compared or ("",)}
    known = set()
    for row in comparison.ranked(tx, study_id):
        name = str(json.loads(row.params).get(OPTIMIZER)) if spec.compared else ""
        group = found.get(name)
        if group is None or len(group) >= top or row.params in known:
            continue
        known.add(row.params)
        group.append(row)
        if all(len(item) >= top for item in found.values()):
            break
    return {name: group for name, group in found.items() if group}


def _last_replicates(tx: Tx, study_id: int) -> dict[int, int]:
    """The highest replicate of each trial that has any, else 0."""
    last: dict[int, int] = defaultdict(int)
    for row in comparison.replicates(tx, study_id):
        number = int(json.loads(row.user_attrs).get(REPLICATE, 0))
        last[row.confirms] = max(last[row.confirms], number)
    return last


def _resume(ledger: Ledger, wanted: int) -> None:
    """Let a finished study run `wanted` more trials, and one that was stopped nothing else."""
    study, values = ledger.study, ledger.values
    if study.state == StudyState.FINISHED:
        values["paused"] = False
    if study.stopped:
        values["stopped"] = False
        if ledger.spec.compare is not None:
            values["size"] = study.next_index
        elif not is_spent(ledger):
            ledger.change_budget(study.numbers_made + wanted)
    # last: of a search that is over nothing is owed
    _make_room(ledger, wanted)


def _make_room(ledger: Ledger, wanted: int) -> None:
    """Raise the budget of trials if it would not hold `wanted` more beside what is owed."""
    limit = ledger.values.get("budget_trials", ledger.study.budget_trials)
    needed = ledger.current("numbers_made") + wanted + owed(ledger)
    if limit is not None and needed > limit:
        ledger.change_budget(needed)


def _enqueue(tx: Tx, ledger: Ledger, plan: Plan) -> list[int]:
    """Add the planned replicates as waiting trials."""
    study = ledger.study
    first = int(ledger.current("next_number"))
    rows = [
        {
            "study_id": study.id,
            "number": first + i,
            "state": str(TrialState.WAITING),
            "params": row.params,
            "fixed": row.params,
            "diverged": False,
            "feasible": True,
            "user_attrs": dumps({CONFIRMS: row.number, REPLICATE: replicate}),
            "confirms": row.number,
            "created_at": tx.now,
        }
        for i, (row, replicate) in enumerate(plan)
    ]
    trials.add(tx, rows)
    numbers = [first + i for i in range(len(rows))]
    for number in numbers:
        ledger.move(None, TrialState.WAITING)
        events.add(tx, study, "trial.enqueued", number)
    for column in ("next_number", "numbers_made"):
        ledger.add(column, len(rows))
    events.add(
        tx,
        study,
        "study.confirming",
        trials=numbers,
        confirms=sorted({row.number for row, _ in plan}),
        left_out=left_out(tx, ledger),
    )
    return numbers


def views_of(tx: Tx, study: Row[Any], numbers: Iterable[int]) -> Sequence[dict[str, Any]]:
    """The trials of those numbers."""
    return [trial_view(trial_of(tx, study, number), study.name) for number in numbers]
