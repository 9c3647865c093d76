"""CPU seconds of one suggestion in a conditional space of six optimizers, beside Optuna's samplers.

Optuna gets the space the way its users write it: `suggest_*` calls under `if optimizer == …`. Its
GPSampler then draws conditional parameters at random; tuner's gp models them. Every system sees
the same history. One thread each.

    OMP_NUM_THREADS=1 python benchmarks/suggest.py [--sizes 20,50,100] [--repeats 3]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings

import numpy as np
import optuna

from tuner.core.overrides import merge
from tuner.core.study import Named
from tuner.optimizers.expand import expand
from tuner.samplers import registry
from tuner.samplers.base import Observation, Request

OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"]
SPACE = merge(
    expand(OPTIMIZERS, "medium"),
    {
        "batch_size": {"type": "int", "low": 16, "high": 256, "scale": "log"},
        "dropout": {"type": "float", "low": 0.0, "high": 0.6},
        "schedule": {"type": "categorical", "choices": ["constant", "cosine", "linear"]},
        "warmup": {
            "type": "float",
            "low": 0.0,
            "high": 0.3,
            "when": {"schedule": ["cosine", "linear"]},
        },
    },
)


def loss_of(params: dict) -> float:
    """A bowl in the logarithm of the learning rate, with a little of the rest."""
    rate = next(value for name, value in params.items() if name.endswith(".lr"))
    return (math.log10(rate) + 2.5) ** 2 + params["dropout"] + 0.1 * math.log(params["batch_size"])


def history(n: int) -> list[dict]:
    """The first `n` settings of a random search."""
    sampler = registry.build(registry.read(Named(name="random")))
    request = Request(
        space=SPACE, seed=1, index=0, count=n, history=(), pending=(), fixed={}, n_objectives=1
    )
    return [dict(item.params) for item in sampler.suggest(request)]


def time_ours(name: str, n: int) -> float:
    sampler = registry.build(registry.read(Named(name=name)))
    seen = tuple(
        Observation(i, params, "complete", (loss_of(params),))
        for i, params in enumerate(history(n))
    )
    request = Request(
        space=SPACE, seed=1, index=n, count=1, history=seen, pending=(), fixed={}, n_objectives=1
    )
    begun = time.process_time()
    sampler.suggest(request)
    return time.process_time() - begun


def distribution(name: str):
    parameter = SPACE[name]
    if parameter.type == "categorical":
        return optuna.distributions.CategoricalDistribution(list(parameter.choices))
    log = parameter.scale == "log"
    if parameter.type == "int":
        return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=log)
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=log)


def suggest_all(trial) -> dict:
    params: dict = {}
    for name in SPACE.order:
        if SPACE.is_active(name, params):
            params[name] = trial._suggest(name, distribution(name))
    return params


def time_optuna(sampler, n: int) -> float:
    study = optuna.create_study(sampler=sampler)
    for params in history(n):
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions={name: distribution(name) for name in params},
                value=loss_of(params),
            )
        )
    begun = time.process_time()
    suggest_all(study.ask())
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="20,50,100")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    np.random.seed(0)  # noqa: NPY002 - Optuna's own random parts
    systems = {
        "tuner gp": lambda n: time_ours("gp", n),
        "Optuna GPSampler": lambda n: time_optuna(
            optuna.samplers.GPSampler(seed=1, warn_independent_sampling=False), n
        ),
        "tuner tpe": lambda n: time_ours("tpe", n),
        "Optuna TPESampler(group)": lambda n: time_optuna(
            optuna.samplers.TPESampler(seed=1, multivariate=True, group=True), n
        ),
    }
    for n in (int(part) for part in options.sizes.split(",")):
        print(f"\n{n} finished trials")
        seconds = {name: [] for name in systems}
        for repeat in range(options.repeats + 1):
            for name, measure in systems.items():
                value = measure(n)
                if repeat:  # the first round loads libraries
                    seconds[name].append(value)
        for name, values in seconds.items():
            peer = "Optuna GPSampler" if "gp" in name.lower() else "Optuna TPESampler(group)"
            ratio = statistics.median(seconds[peer]) / statistics.median(values)
            print(f"  {name:26} {statistics.median(values):7.3f} CPU s   x{ratio:.1f} as fast")


if __name__ == "__main__":
    main()
