"""Synthetic studies in the wire format, realistic in shape and reproducible."""

import math
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tuner.analysis.advice.collect import CODES, advise
from tuner.analysis.evidence import Evidence
from tuner.analysis.report import build_report

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

PARAMETERS = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "momentum", "adam"]},
    "sgd.lr": {"type": "float", "low": 1e-3, "high": 1.0, "scale": "log", "group": "sgd"},
    "momentum.lr": {
        "type": "float",
        "low": 1e-4,
        "high": 1.0,
        "scale": "log",
        "group": "momentum",
    },
    "momentum.momentum": {
        "type": "float",
        "low": 0.5,
        "high": 0.99,
        "scale": "one_minus_log",
        "group": "momentum",
    },
    "adam.lr": {"type": "float", "low": 1e-5, "high": 1e-1, "scale": "log", "group": "adam"},
    "batch_size": {"type": "int", "low": 16, "high": 256, "scale": "log", "group": None},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6, "scale": "linear", "group": None},
}


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def study_of(**changes):
    study = {
        "name": "digits",
        "objectives": [{"metric": "val_loss", "direction": "minimize", "from": "last"}],
        "constraints": [],
        "space": {"optimizers": ["sgd", "momentum", "adam"]},
        "expanded_space": {"parameters": PARAMETERS},
        "sampler": {"name": "gp", "seed": 7},
        "pruner": {"name": "none"},
        "budget": {"trials": 60},
        "trial": {"task": {"dataset": "digits", "model": "mlp", "epochs": 27}},
        "tags": {},
        "state": "finished",
        "state_reason": None,
        "created_at": at(0),
        "updated_at": at(1000),
        "timing": {"search_seconds": 12.5, "busy_seconds": 300.0},
    }
    return {**study, **changes}


def trial_of(number, value=None, *, metric="val_loss", **changes):
    trial = {
        "study": "digits",
        "number": number,
        "state": "complete",
        "params": {},
        "values": {} if value is None else {metric: value},
        "diverged": False,
        "reason": None,
        "attempt": 1,
        "worker_id": "w1",
        "created_at": at(number),
        "started_at": at(number),
        "finished_at": at(number + 5),
        "user_attrs": {},
        "sampler": {"name": "gp", "unseen": 0},
    }
    return {**trial, **changes}


def curve_of(number, values, metric="val_loss", attempt=1, first=1):
    return [
        {"number": number, "attempt": attempt, "step": first + i, "metric": metric, "value": v}
        for i, v in enumerate(values)
    ]


def params_of(optimizer, rng):
    params = {
        "optimizer": optimizer,
        "batch_size": int(rng.integers(16, 257)),
        "dropout": float(rng.uniform(0, 0.6)),
    }
    for name, spec in PARAMETERS.items():
        if name.startswith(optimizer + "."):
            low, high = spec["low"], spec["high"]
            if spec["scale"] == "log":
                params[name] = float(10 ** rng.uniform(math.log10(low), math.log10(high)))
            else:
                params[name] = float(rng.uniform(low, high))
    return params


def simulate(n, steps, seed=0):
    """A study in which only the learning rate matters: trials with curves, some lost ways."""
    rng = np.random.default_rng(seed)
    best_lr = {"sgd": -1.0, "momentum": -1.5, "adam": -3.0}
    trials, rows = [], []
    for number in range(n):
        optimizer = str(rng.choice(list(best_lr)))
        params = params_of(optimizer, rng)
        off = math.log10(params[f"{optimizer}.lr"]) - best_lr[optimizer]
        floor = 0.08 + 0.12 * off**2 + {"sgd": 0.05, "momentum": 0.02, "adam": 0.0}[optimizer]
        t = np.arange(1, steps + 1)
        loss = floor + 2.0 * np.exp(-t / 4) + 0.005 * rng.standard_normal(steps)
        end = {"finished_at": at(number * 10 + 8.5)}
        if number % 17 == 11:
            end |= {"state": "fail", "reason": "oom" if number % 2 else "timeout"}
        elif off > 0.6 and optimizer == "sgd":
            loss[1:] = math.nan
            end |= {"diverged": True, "values": {"val_loss": "NaN"}}
        elif floor > 0.35 and steps > 3:
            loss = loss[: max(2, steps // 3)]
            end |= {"state": "pruned"}
        else:
            end |= {"values": {"val_loss": float(loss[-1])}}
        start = {"created_at": at(number * 10), "started_at": at(number * 10)}
        trials.append(trial_of(number, params=params, **start, **end))
        rows += curve_of(number, [float(v) if math.isfinite(v) else "NaN" for v in loss])
        finite = [float(np.clip(1 - v / 3, 0, 1)) for v in loss if math.isfinite(v)]
        rows += curve_of(number, finite, "val_accuracy")
    return study_of(), trials, rows


RATE = {
    "type": "float",
    "low": 1e-4,
    "high": 1.0,
    "scale": "log",
    "default": 0.01,
    "role": "learning_rate",
}
SILENT = {
    "method": "m",
    "metric": "val_loss",
    "quality": None,
    "parameters": [],
    "per_optimizer": {},
}


@pytest.fixture
def ask():
    """Advice by code for trials given as (value, params, changes); the space is a learning rate."""

    def run(rows=(), measurements=(), explained=SILENT, **study):
        trials = []
        for i, (value, params, *changes) in enumerate(rows):
            trials.append(trial_of(i, value, params=params, **(changes[0] if changes else {})))
        space = {
            "space": {"parameters": {"lr": RATE}},
            "expanded_space": {"parameters": {"lr": RATE}},
        }
        given = study_of(**{**space, "trial": None, **study})
        found = advise(Evidence.read(given, trials, measurements), explained)
        assert {item["code"] for item in found} <= set(CODES)
        for item in found:
            assert item["title"].endswith("."), item
            assert item["action"].endswith("."), item
        return {item["code"]: item for item in found}

    return run


@pytest.fixture
def make_study():
    return study_of


@pytest.fixture
def make_trial():
    return trial_of


@pytest.fixture
def make_curve():
    return curve_of


@pytest.fixture
def simulated():
    return simulate


@pytest.fixture(scope="session")
def small_study():
    return simulate(60, 27)


@pytest.fixture(scope="session")
def small_report(small_study):
    return build_report(*small_study)


@pytest.fixture(scope="session")
def browser():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium in this environment")
    return path


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page; gives its DOM after scripts ran, and what the console said."""

    def open_(page):
        file = tmp_path / "page.html"
        file.write_text(page, "utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=5000",
            "--enable-logging=stderr",
            "--dump-dom",
        ]
        home = tmp_path / "browser"
        done = subprocess.run(
            [browser, *flags, f"--user-data-dir={home}", file.as_uri()],
            capture_output=True,
            text=True,
            timeout=100,
        )
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, console

    return open_
