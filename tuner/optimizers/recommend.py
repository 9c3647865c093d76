"""Which optimizers to compare for an architecture, a data size and a budget, and the study for it.

The reasons are `rules.RULES`; here they are weighed, the budget is divided and the file is made.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from tuner.optimizers.expand import size_for
from tuner.optimizers.registry import ENTRIES
from tuner.optimizers.rules import ANCHORS, OURS, PASCANU, RULES, SIVAPRASAD, Rule
from tuner.optimizers.situation import DEFAULT_BATCH, RECURRENT, Situation
from tuner.optimizers.sources import ALGOPERF

# Trials of one optimizer, its repeats on fresh seeds among them: ten are the least that tune more
# than a learning rate (the playbook's rule, see `expand`), five repeats show a spread. Ours.
TRIALS_EACH: Final = 15
SEEDS: Final = 5
FEWER_SEEDS: Final = 3
MOST: Final = 6
USUAL: Final = 4
TUNING_TRIALS: Final = 20
# Of a budget in seconds this share goes to tuning, the rest to repeats; ours.
TUNING_SHARE: Final = 0.8
LEAST_POINTS: Final = 2
EPOCHS: Final = 27
MOST_BATCH: Final = 65_536
# Relatives behave alike, so a small comparison takes one of each family, a larger one two.
FAMILIES: Final = {
    **dict.fromkeys(("sgd", "momentum", "nesterov", "gd"), "gradient"),
    **dict.fromkeys(("adam", "adamw", "nadam", "nadamw", "radam", "amsgrad", "adamax"), "adam"),
    **dict.fromkeys(("lbfgs", "newton_cg"), "curvature"),
}
ONE_EACH: Final = 3


def recommend(situation: Situation) -> dict[str, Any]:
    """What to compare, why, and the study file for it, as plain JSON data.

    Returns:
        `{situation, optimizers, left_out, settings, notes, study}`: each optimizer has `reasons`
        of `{text, source, judgement}`, most important first; `judgement` marks what no publication
        says. `study` is a study file; without a built-in data set it lacks the key `trial`.
    """
    holding = [rule for rule in RULES if rule.holds(situation)]
    excluded = {rule.optimizer: rule for rule in holding if rule.points is None}
    points: Counter[str] = Counter()
    for rule in holding:
        points[rule.optimizer] += rule.points or 0
    order = sorted(ENTRIES, key=lambda name: -points[name])
    ranked = [n for n in order if points[n] >= LEAST_POINTS and n not in excluded]
    names = _choose(ranked, _how_many(situation))
    settings = _settings(situation)
    return {
        "situation": _describe(situation),
        "optimizers": [_optimizer(name, points[name], holding) for name in names],
        "left_out": [
            {"name": name, **_reason(rule)}
            for name, rule in excluded.items()
            if any(rule.speaks_for(name, situation.model) for rule in RULES)
        ],
        "settings": settings,
        "notes": _notes(situation, names),
        "study": _study(situation, names, settings),
    }


def _how_many(situation: Situation) -> int:
    if situation.trials is None:
        return USUAL
    return max(1, min(MOST, situation.trials // TRIALS_EACH))


def _choose(ranked: list[str], count: int) -> list[str]:
    """The first `count`, at most one or two of a family; more of one only to fill up."""
    most = 1 if count <= ONE_EACH else 2
    used: Counter[str] = Counter()
    chosen: list[str] = []
    for name in ranked:
        family = FAMILIES.get(name, name)
        if used[family] < most and len(chosen) < count:
            used[family] += 1
            chosen.append(name)
    return chosen


def _optimizer(name: str, points: int, holding: list[Rule]) -> dict[str, Any]:
    entry = ENTRIES[name]
    own = sorted((r for r in holding if r.optimizer == name), key=lambda r: -(r.points or 0))
    return {
        "name": name,
        "title": entry.title,
        "points": points,
        "reasons": [_reason(rule) for rule in own],
        "state_floats_per_parameter": entry.cost.state,
        "gradients_per_step": entry.cost.gradients,
    }


def _reason(rule: Rule) -> dict[str, Any]:
    return {"text": rule.text, "source": rule.source, "judgement": rule.source == OURS}


def _describe(situation: Situation) -> dict[str, Any]:
    return {
        "model": situation.model,
        "dataset": situation.dataset,
        "examples": situation.examples,
        "params": situation.params,
        "batch": "full" if situation.batch is None else situation.batch,
        "trials": situation.trials,
        "seconds": situation.seconds,
        "gpus": situation.gpus,
    }


def _settings(situation: Situation) -> list[dict[str, Any]]:
    """Keys of the training task that go with the architecture, each with its reason."""
    found: list[dict[str, Any]] = []

    def add(key: str, value: Any, text: str, source: str) -> None:
        row = {"key": key, "value": value, "text": text, "source": source}
        found.append({**row, "judgement": source == OURS})

    if situation.model in RECURRENT:
        text = "gradients through time explode; 1 is ours, tune it by the advice of the report"
        add("clip_norm", 1.0, text, PASCANU)
    if situation.model == "transformer":
        add("warmup", 0.05, "the baselines warm up over 2 to 10 per cent of the steps", ALGOPERF)
        add("schedule", "cosine", "decay after the warm-up, as the targets were set", ANCHORS)
    if situation.model == "cnn":
        add("schedule", "cosine", "a decaying rate, as the targets were set", ANCHORS)
    return found


def _notes(situation: Situation, names: list[str]) -> list[str]:
    notes = [
        "Which optimizer wins depends on the budget and the ranges: let the comparison decide, the "
        f"points above only say what is worth comparing ({SIVAPRASAD})."
    ]
    if any(ENTRIES[name].batch != "any" for name in names) and not situation.is_full_batch:
        whole = ", ".join(name for name in names if ENTRIES[name].batch != "any")
        notes.append(
            f"{whole} takes the whole training set as one batch, whatever the others take."
        )
    if situation.trials is not None and situation.trials < TRIALS_EACH:
        notes.append(
            f"{situation.trials} trials tune one optimizer; a comparison needs about {TRIALS_EACH} "
            "for each."
        )
    if situation.dataset is None:
        notes.append("Add `trial` to the file: how your training runs (task, python or command).")
    return notes


def _study(
    situation: Situation, names: list[str], settings: list[dict[str, Any]]
) -> dict[str, Any]:
    share = None if situation.trials is None else situation.trials // len(names)
    seeds = SEEDS if share is None or share >= TRIALS_EACH else FEWER_SEEDS
    tuning = TUNING_TRIALS if share is None else max(1, share - seeds)
    is_compared = len(names) > 1
    size = size_for(tuning if is_compared else share)
    study: dict[str, Any] = {
        "name": f"{situation.dataset or 'my'}-{situation.model}-optimizers",
        "objectives": [{"metric": "val_loss", "direction": "minimize", "from": "best"}],
        "space": {"optimizers": {"names": names, "size": size}},
    }
    batches = _batches(situation, names)
    if batches and situation.dataset is not None:
        study["space"]["parameters"] = batches
    if is_compared:
        each: dict[str, Any] = {"trials": tuning}
        if situation.trials is None and situation.seconds is not None:
            each = {"seconds": round(TUNING_SHARE * situation.seconds / len(names), 3)}
        study["compare"] = {**each, "seeds": seeds}
    else:
        budget = {"trials": situation.trials, "seconds": situation.seconds}
        study["budget"] = {k: v for k, v in budget.items() if v is not None} or {"trials": tuning}
    if situation.dataset is not None:
        task = {"dataset": situation.dataset, "model": situation.model, "epochs": EPOCHS}
        task |= {row["key"]: row["value"] for row in settings}
        study["trial"] = {"task": task}
        if situation.gpus:
            study["trial"]["resources"] = {"gpus": situation.gpus}
    return study


def _batches(situation: Situation, names: list[str]) -> dict[str, Any]:
    """Batch sizes other than the task's default, for the optimizers that take mini-batches."""
    size = situation.examples if situation.batch is None else situation.batch
    if size is None or size == DEFAULT_BATCH:
        return {}
    value = min(size, MOST_BATCH)
    return {
        f"{name}.batch_size": {"type": "fixed", "value": value, "when": {"optimizer": [name]}}
        for name in names
        if ENTRIES[name].batch == "any"
    }
