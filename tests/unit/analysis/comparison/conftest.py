"""Synthetic comparison studies in the wire format: each optimizer tuned, its best confirmed."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tuner.analysis.comparison.contest import Contest
from tuner.analysis.evidence import Evidence
from tuner.optimizers.registry import get

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
# how good each can get, and how fast it learns (epochs); its best rate is its reference
SKILL = {"adamw": (0.10, 3.0), "nesterov": (0.12, 4.0), "rmsprop": (0.14, 3.0), "sgd": (0.30, 8.0)}


def at(seconds):
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def study_of(optimizers=tuple(SKILL), **changes):
    parameters = {"optimizer": {"type": "categorical", "choices": list(optimizers)}}
    for name in optimizers:
        for p in get(name).parameters:
            if "small" in p.sizes and p.type == "float":
                parameters[f"{name}.{p.name}"] = {
                    "type": "float",
                    "low": p.low,
                    "high": p.high,
                    "scale": p.scale,
                    "default": p.default,
                    "when": {"optimizer": [name]},
                    "group": name,
                }
    study = {
        "name": "digits",
        "objectives": [{"metric": "val_loss", "direction": "minimize", "from": "best"}],
        "constraints": [],
        "space": {"optimizers": list(optimizers)},
        "expanded_space": {"parameters": parameters},
        "compare": {"trials": 12, "seeds": 5},
        "sampler": {"name": "gp", "seed": 7},
        "pruner": {"name": "none"},
        "budget": {"trials": 68},
        "trial": {"task": {"dataset": "digits", "model": "mlp", "epochs": 10}},
        "tags": {},
        "state": "finished",
        "state_reason": None,
        "created_at": at(0),
        "updated_at": at(1000),
        "timing": {"search_seconds": 12.5, "busy_seconds": 300.0},
    }
    return {**study, **changes}


def trial_of(number, optimizer, value=None, *, confirms=None, replicate=None, **changes):
    attrs = {} if confirms is None else {"confirms": confirms, "replicate": replicate}
    trial = {
        "study": "digits",
        "number": number,
        "state": "complete",
        "params": {"optimizer": optimizer},
        "values": {} if value is None else {"val_loss": value},
        "diverged": False,
        "reason": None,
        "attempt": 1,
        "created_at": at(10 * number),
        "started_at": at(10 * number),
        "finished_at": at(10 * number + 5),
        "user_attrs": attrs,
        "sampler": {"name": "gp", "unseen": 0},
    }
    return {**trial, **changes}


def rows_of(number, metric, values, first=1):
    return [
        {"number": number, "attempt": 1, "step": first + i, "metric": metric, "value": v}
        for i, v in enumerate(values)
    ]


def simulate(optimizers=tuple(SKILL), trials=12, seeds=5, epochs=10, seed=0, **changes):
    """A study in which only the learning rate matters, too large a one diverges."""
    rng = np.random.default_rng(seed)
    study = study_of(optimizers, compare={"trials": trials, "seeds": seeds}, **changes)
    found, rows, best = [], [], {}

    def train(optimizer, lr, extra):
        number = len(found)
        floor, pace = SKILL.get(optimizer, (0.2, 5.0))
        entry = get(optimizer)
        off = math.log10(lr / entry.reference)
        t = np.arange(1, epochs + 1)
        floor += 0.05 * off**2 + 0.01 * float(rng.standard_normal())
        loss = floor + 2 * np.exp(-t / pace) + 0.002 * rng.standard_normal(epochs)
        is_lost = off > 1.2
        if is_lost:
            loss[epochs // 2 :] = math.nan
        shown = [float(v) if math.isfinite(v) else "NaN" for v in loss]
        least = float(np.nanmin(loss))
        params = {"optimizer": optimizer, f"{optimizer}.lr": lr}
        value = "NaN" if is_lost else least
        found.append(trial_of(number, optimizer, value, params=params, diverged=is_lost, **extra))
        rows.extend(rows_of(number, "val_loss", shown))
        rows.extend(rows_of(number, "train_loss", [0.9 * float(v) for v in np.nan_to_num(loss)]))
        rows.extend(
            rows_of(number, "val_accuracy", [float(v) for v in np.exp(-np.nan_to_num(loss))])
        )
        rows.extend(rows_of(number, "steps", [int(10 * s) for s in t]))
        rows.extend(rows_of(number, "seconds", [0.1 * float(s) for s in t]))
        rows.extend(rows_of(number, "evaluations", [int(10 * s) for s in t]))
        if "confirms" in extra and not is_lost:
            rows.extend(rows_of(number, "test_loss", [least * 1.05], epochs))
            rows.extend(rows_of(number, "test_accuracy", [math.exp(-least) * 0.99], epochs))
        return number, least

    for i in range(trials * len(optimizers)):
        optimizer = optimizers[i % len(optimizers)]
        spec = study["expanded_space"]["parameters"][f"{optimizer}.lr"]
        low, high = math.log(spec["low"]), math.log(spec["high"])
        is_first = i < len(optimizers)
        lr = spec["default"] if is_first else math.exp(rng.uniform(low, high))
        number, value = train(optimizer, lr, {})
        if not found[number]["diverged"] and value < best.get(optimizer, (0, math.inf))[1]:
            best[optimizer] = (number, value)
    for replicate in range(1, seeds + 1):
        for optimizer, (number, _) in best.items():
            lr = found[number]["params"][f"{optimizer}.lr"]
            train(optimizer, lr, {"confirms": number, "replicate": replicate})
    return study, found, rows


@pytest.fixture
def make_study():
    return study_of


@pytest.fixture
def make_trial():
    return trial_of


@pytest.fixture
def make_rows():
    return rows_of


@pytest.fixture
def simulated():
    return simulate


@pytest.fixture(scope="session")
def compared():
    return simulate()


@pytest.fixture
def contest_of():
    def build(trials, rows=(), **changes):
        return Contest(Evidence.read(study_of(**changes), trials, rows))

    return build
