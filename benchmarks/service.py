"""Trials per second through the service, beside Optuna's storages, in one run.

One trial is an ask of five floats, ten reports and a tell, by W worker processes. Every system
runs the same sampler (random) and keeps everything durable. Rounds alternate between the systems,
so that a drift of the machine meets all of them; the table shows medians and the ratio to
Optuna's RDB storage on the same database.

    python benchmarks/service.py [--workers 1,4,16] [--trials 200] [--rounds 3] [--postgres URL]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

import tuner

REPORTS = 10
NAMES = [f"x{i}" for i in range(5)]


def run_tuner(url: str, name: str, share: int, ready, go) -> None:
    client = tuner.Client(url) if url.startswith("http") else tuner.Client(database_url=url)
    study = client.get_study(name)
    ready.release()
    go.wait()
    for _ in range(share):
        trial = study.ask()
        for step in range(REPORTS):
            trial.report(step, loss=1.0 / (step + 1))
        trial.tell(trial.params["x0"])
    client.close()


def run_optuna(url: str, name: str, share: int, ready, go) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name=name, storage=_storage(url), sampler=optuna.samplers.RandomSampler()
    )
    ready.release()
    go.wait()
    for _ in range(share):
        trial = study.ask()
        for x in NAMES:
            trial.suggest_float(x, 0, 1)
        for step in range(REPORTS):
            trial.report(1.0 / (step + 1), step)
        study.tell(trial, trial.params["x0"])


def _storage(url: str):
    if url.startswith("journal:"):
        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    return RDBStorage(url)


def make_tuner(url: str) -> str:
    name = f"bench-{uuid4().hex[:8]}"
    client = tuner.Client(database_url=url)
    client.create_study(
        name, space={x: tuner.Float(0, 1) for x in NAMES}, objective="loss", sampler="random"
    )
    client.close()
    return name


def make_optuna(url: str) -> str:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(storage=_storage(url)).study_name


def once(make, run, url: str, workers: int, trials: int) -> float:
    """Trials per second of one round."""
    name = make(url)
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    share = trials // workers
    processes = [
        context.Process(target=run, args=(url, name, share, ready, go)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    begun = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        return float("nan")
    return share * workers / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,4,16")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", help="postgresql://… of a database to use as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        systems = {
            "Optuna RDB, SQLite": (make_optuna, run_optuna, f"sqlite:///{folder}/optuna.db"),
            "Optuna journal file": (make_optuna, run_optuna, f"journal:{folder}/journal.log"),
            "tuner, SQLite": (make_tuner, run_tuner, f"sqlite:///{folder}/tuner.db"),
        }
        if options.postgres:
            driver = options.postgres.replace("postgresql://", "postgresql+psycopg://")
            systems["Optuna RDB, PostgreSQL"] = (make_optuna, run_optuna, driver)
            systems["tuner, PostgreSQL"] = (make_tuner, run_tuner, options.postgres)
        for workers in (int(part) for part in options.workers.split(",")):
            rates: dict[str, list[float]] = {name: [] for name in systems}
            for _ in range(options.rounds):
                for name, (make, run, url) in systems.items():
                    slow = "RDB" in name
                    trials = max(workers, options.trials // (5 if slow else 1))
                    rates[name].append(once(make, run, url, workers, trials))
            print(f"\n{workers} workers")
            for name, values in rates.items():
                base = "Optuna RDB, " + ("PostgreSQL" if "Postgre" in name else "SQLite")
                ratio = statistics.median(values) / statistics.median(rates[base])
                print(f"  {name:24} {statistics.median(values):8.1f} trials/s   x{ratio:.1f}")
        Path(folder, "done").touch()


if __name__ == "__main__":
    main()
