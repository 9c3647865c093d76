"""Use cases on studies: create, read, list, change, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from tuner.core.lifecycle import StopReason, StudyState
from tuner.core.messages import StudyChange
from tuner.core.model import parse
from tuner.core.names import nearest
from tuner.core.parameter import same
from tuner.core.ranking import loss
from tuner.core.study import Budget, StudySpec
from tuner.core.wire import check_plain, dumps
from tuner.errors import BudgetSpent, Invalid, StudyExists
from tuner.service.cursors import decode, encode, page_of
from tuner.service.idempotency import Answer
from tuner.service.specification import Definition, spec_of
from tuner.service.state import Ledger, closing_reason, is_spent, settle, study_of
from tuner.service.views import study_view
from tuner.service.workers import why_idle
from tuner.storage import events, studies, trials
from tuner.storage.engine import Tx


def create(tx: Tx, definition: Definition) -> Answer:
    """Store a study: 201; the same specification again: 200 and the existing study.

    Raises:
        StudyExists: If the name stands for another specification.
    """
    spec, said = definition.spec, _warnings(definition)
    existing = studies.find(tx, spec.name)
    if existing is None:
        _insert(tx, definition)
        row = study_of(tx, spec.name)
        events.add(tx, row, "study.created")
        return Answer(201, study_view(row, None, tx.now) | said)
    changed = _differences(spec_of(existing.spec), spec)
    if changed:
        raise StudyExists(
            f"Study {spec.name!r} exists with another specification"
            f" (they differ in {', '.join(changed)}).",
            hint="Choose another name, or change budget and tags with: tuner study edit.",
        )
    return Answer(200, view(tx, existing) | said)


def preview(definition: Definition) -> dict[str, Any]:
    """The study as `create` would make it; nothing is stored."""
    return {
        **definition.spec.to_json(),
        "expanded_space": definition.space.to_json(),
        "size": definition.size,
        **_warnings(definition),
    }


def _warnings(definition: Definition) -> dict[str, Any]:
    """What the answer to a creation says beside the study; nothing where all is well."""
    return {"warnings": list(definition.warnings)} if definition.warnings else {}


def view(tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The study object of a row."""
    best = None if row.best_id is None else trials.get(tx, row.best_id)
    data = study_view(row, best, tx.now)
    if data["state_reason"] is None and row.state == StudyState.ACTIVE and row.n_running == 0:
        data["state_reason"] = why_idle(tx, row)
    return data


def read(tx: Tx, name: str) -> dict[str, Any]:
    """The study of that name."""
    return view(tx, study_of(tx, name))


def page(
    tx: Tx, *, limit: int, cursor: str | None, state: str | None, q: str | None
) -> dict[str, Any]:
    """Studies by name."""
    if state is not None and state not in set(StudyState):
        raise Invalid.at(
            "state",
            f"found {state!r}, allowed: {', '.join(StudyState)}.",
            found=state,
            allowed=[str(item) for item in StudyState],
            nearest=nearest(state, [str(item) for item in StudyState]),
        )
    after = decode(cursor, "studies", str)[0] if cursor is not None else None
    rows = studies.page(tx, after=after, limit=limit + 1, state=state, q=q)
    return page_of(
        [view(tx, row) for row in rows[:limit]],
        encode("studies", rows[limit - 1].name) if len(rows) > limit else None,
    )


def change(tx: Tx, name: str, body: StudyChange) -> dict[str, Any]:
    """Change state, budget and tags; whatever follows from that happens at once.

    Raises:
        BudgetSpent: When resuming a study whose budget is used up; it says what to raise.
        Invalid: For a budget or tags that no study could have.
    """
    study = study_of(tx, name, lock=True)
    ledger = Ledger(study)
    if body.budget is not None or body.tags is not None:
        _change_spec(ledger, spec_of(study.spec), body)
    if body.now and body.state != "paused":
        raise Invalid.at("now", "goes with state paused.", found=True)
    if body.state is not None:
        _change_state(tx, ledger, body)
    settle(tx, ledger)
    events.add(tx, study, "study.changed", state=body.state)
    return read(tx, name)


def delete(tx: Tx, name: str) -> int:
    """Delete a study with its trials; leases on them are lost.

    Returns:
        The id that it had.
    """
    study = study_of(tx, name, lock=True)
    studies.remove(tx, study.id)
    events.add(tx, study, "study.deleted")
    return int(study.id)


def _insert(tx: Tx, definition: Definition) -> None:
    spec = definition.spec
    target = spec.budget.target
    studies.add(
        tx,
        name=spec.name,
        spec=dumps(spec.to_json()),
        expanded=dumps(definition.space.to_json()),
        state=str(StudyState.ACTIVE),
        paused=False,
        stopped=False,
        size=definition.size,
        budget_trials=spec.budget.trials,
        budget_seconds=spec.budget.seconds,
        target_loss=None if target is None else loss(target, spec.objectives[0].direction),
        created_at=tx.now,
        updated_at=tx.now,
    )


def _change_spec(ledger: Ledger, spec: StudySpec, body: StudyChange) -> None:
    data = spec.to_json()
    if body.budget is not None:
        merged = {**data["budget"], **body.budget}
        budget = {key: value for key, value in merged.items() if value is not None}
        parse(Budget, budget, "budget")
        data["budget"] = budget
    if body.tags is not None:
        check_plain(body.tags, "tags")
        data["tags"] = body.tags
    changed = StudySpec.read(data)
    if _is_larger(changed.budget, spec.budget):
        ledger.values["stopped"] = False
        if ledger.study.state == StudyState.FINISHED:
            ledger.values["paused"] = False
    target = changed.budget.target
    ledger.values |= {
        "spec": dumps(changed.to_json()),
        "budget_trials": changed.budget.trials,
        "budget_seconds": changed.budget.seconds,
        "target_loss": (None if target is None else loss(target, changed.objectives[0].direction)),
    }


def _is_larger(new: Budget, old: Budget) -> bool:
    """Whether a change of budget asks for more; that makes a stopped study active again."""
    pairs = ((new.trials, old.trials), (new.seconds, old.seconds))
    return any(b is not None and (a is None or a > b) for a, b in pairs)


def _change_state(tx: Tx, ledger: Ledger, body: StudyChange) -> None:
    study = ledger.study
    if body.state == "paused":
        ledger.values["paused"] = True
        if body.now:
            trials.ask_to_stop(tx, study.id, StopReason.PAUSED)
    elif body.state == "finished":
        ledger.values["stopped"] = True
    else:
        ledger.values |= {"paused": False, "stopped": False}
        closed = closing_reason(ledger, tx.now)
        if study.n_running == 0 and (closed or (is_spent(ledger) and study.n_waiting == 0)):
            raise BudgetSpent(
                f"Study {study.name!r} cannot go on: {closed or 'its budget or grid is used up'}.",
                hint=f"Raise the budget with: tuner study edit {study.name} --trials N",
            )


def _differences(a: StudySpec, b: StudySpec) -> list[str]:
    x, y = a.to_json(), b.to_json()
    return [key for key in x | y if not _alike(x.get(key), y.get(key))]


def _alike(a: Any, b: Any) -> bool:
    """Equality of plain data in which 1 and true differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    return same(a, b)
