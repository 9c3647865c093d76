"""Use cases on studies: create, read, list, change, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from tuner.core.compare import Compare, share
from tuner.core.lifecycle import StopReason, StudyState
from tuner.core.messages import Confirm, StudyChange
from tuner.core.model import join, parse
from tuner.core.names import nearest
from tuner.core.parameter import same
from tuner.core.ranking import loss
from tuner.core.study import Budget, StudySpec
from tuner.core.wire import check_plain, dumps
from tuner.errors import BudgetSpent, Invalid, StudyExists
from tuner.service import branches, confirming
from tuner.service.cursors import decode, encode, page_of
from tuner.service.idempotency import Answer
from tuner.service.settling import settle
from tuner.service.specification import Definition, spec_of
from tuner.service.state import (
    SECONDS_USED,
    TARGET_REACHED,
    Ledger,
    closing_reason,
    is_spent,
    study_of,
)
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
        made = _with_comparison(tx, row, study_view(row, None, tx.now))
        return Answer(201, made | said)
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
    if row.state == StudyState.ACTIVE and row.n_running == 0:
        reasons = [data["state_reason"], why_idle(tx, row)]
        data["state_reason"] = "; ".join(filter(None, reasons)) or None
    return _with_comparison(tx, row, data)


def _with_comparison(tx: Tx, row: Row[Any], data: dict[str, Any]) -> dict[str, Any]:
    """The study object with how far its comparison is, if it compares."""
    spec = spec_of(row.spec)
    if spec.compare is not None:
        data["comparison"] = confirming.view(tx, row, spec)
        if spec.compare.seconds is not None:
            data["comparison"]["seconds"] = branches.seconds_used(tx, row, spec)
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
    if body.budget is not None or body.tags is not None or body.compare is not None:
        _change_spec(ledger, spec_of(study.spec), body)
    if body.now and body.state != "paused":
        raise Invalid.at("now", "goes with state paused.", found=True)
    if body.state is not None:
        _change_state(tx, ledger, body)
    settle(tx, ledger)
    events.add(tx, study, "study.changed", state=body.state)
    return read(tx, name)


def confirm(tx: Tx, name: str, body: Confirm) -> Answer:
    """Queue the best settings on fresh seeds; see `confirming.enqueue`."""
    study = study_of(tx, name, lock=True)
    ledger = Ledger(study)
    numbers = confirming.enqueue(tx, ledger, body)
    settle(tx, ledger)
    return Answer(201, {"trials": confirming.views_of(tx, study, numbers)})


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
    study_id = studies.add(
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
    branches.start(tx, study_id, spec)


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
    if spec.compare is not None or body.compare is not None:
        _change_comparison(ledger, spec, body, data)
    changed = StudySpec.read(data)
    if _is_larger(changed, spec):
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


def _change_comparison(
    ledger: Ledger, spec: StudySpec, body: StudyChange, data: dict[str, Any]
) -> None:
    """Let the tuning budget of each optimizer and the budget of trials follow each other."""
    if spec.compare is None:
        raise Invalid.at("compare", "this study compares nothing; make one with compare.")
    given = dict(body.compare or {})
    n, seeds = len(spec.compared), spec.compare.seeds
    wanted = None if spec.compare.trials is None else (body.budget or {}).get("trials")
    if given:
        known = "seconds" if spec.compare.trials is None else "trials"
        for key in given:
            if key != known or given[key] is None:
                text = f"only compare.{known} of this study can be changed."
                raise Invalid.at(join("compare", key), text, found=key, allowed=[known])
    elif wanted is not None:
        given = {"trials": share(wanted, n, seeds)}
    compare = parse(Compare, {**data["compare"], **given}, "compare")
    data["compare"] = compare.model_dump(exclude_none=True)
    if given:
        ledger.values["size"] = None if compare.trials is None else n * compare.trials
    elif compare.trials is None and "trials" in (body.budget or {}):
        ledger.values["size"] = None
    if compare.trials is not None and (given or "trials" in (body.budget or {})):
        # what was enqueued or confirmed beside it stays paid for
        beside = max(0, ledger.study.numbers_made - ledger.study.next_index)
        least = n * compare.trials + max(n * seeds, beside)
        data["budget"]["trials"] = max(wanted or 0, least)


def _is_larger(new: StudySpec, old: StudySpec) -> bool:
    """Whether a change asks for more; that makes a stopped study active again."""
    pairs = [(new.budget.trials, old.budget.trials), (new.budget.seconds, old.budget.seconds)]
    if new.compare is not None and old.compare is not None:
        pairs.append((new.compare.seconds, old.compare.seconds))
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
        confirming.reopen_search(tx, ledger)
        closed = closing_reason(ledger, tx.now)
        if closed is None:
            confirming.enqueue_due(tx, ledger)
        has_work = ledger.current("n_waiting") > 0
        if study.n_running == 0 and (closed or (is_spent(ledger) and not has_work)):
            raise BudgetSpent(
                f"Study {study.name!r} cannot go on: {closed or 'its budget or grid is used up'}.",
                hint=_way_on(closed, study.name),
            )


def _way_on(closed: str | None, name: str) -> str:
    """What lets a study go on that is over for that reason."""
    if closed == TARGET_REACHED:
        return f"Set a target that is not reached yet: tuner study edit {name} --target VALUE"
    if closed == SECONDS_USED:
        return f"Give it more time: tuner study edit {name} --seconds N"
    return f"Raise the budget with: tuner study edit {name} --trials N"


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
