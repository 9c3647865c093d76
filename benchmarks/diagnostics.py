"""What diagnostics cost: time per epoch, and rows and bytes in the store.

Epochs on digits with the levels none, basic and full take turns, so that a drift of the machine
meets all of them. The time is that of the CPU in one thread, and of all rounds the least, so that
other processes count little. The table shows it for `none`, and the other levels' ratio to it;
then what one trial's reports take in the embedded store: rows, kilobytes of the vacuumed database,
and the time to report and tell.

    python benchmarks/diagnostics.py [--rounds 41] [--models mlp,cnn,gru] [--optimizer adam] [--trials 100]
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch

import tuner
from tuner.tasks.metrics import LEVELS
from tuner.training.loop import effective_options, run_task
from tuner.training.trainer import Training

BATCHES = (16, 64, 256)
EPOCHS = 27


class Kept:
    """A trial in memory."""

    number, device = 0, "cpu"

    def __init__(self, params):
        self.params, self.rows = params, {}

    def report(self, step, **metrics):
        self.rows[step] = metrics

    def should_stop(self):
        return None

    def save_checkpoint(self, state, step):
        pass

    def load_checkpoint(self):
        return None

    def log(self, message):
        pass


def epochs(model: str, batch: int, optimizer: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of an epoch for every level, round by round."""
    params = {"optimizer": optimizer}
    task = {"dataset": "digits", "model": model, "batch_size": batch, "epochs": rounds + 1}
    trainings = {
        level: Training(
            effective_options({**task, "diagnostics": level}, params), params, torch.device("cpu")
        )
        for level in LEVELS
    }
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    for training in trainings.values():
        training.run_epoch()
    for i in range(rounds):
        for level in (*LEVELS[i % 3 :], *LEVELS[: i % 3]):
            begun = time.thread_time()
            trainings[level].run_epoch()
            taken[level].append(time.thread_time() - begun)
    return taken


def store(level: str, trials: int) -> tuple[int, float, float]:
    """Rows, kilobytes and seconds of one trial of 27 epochs, over several."""
    kept = Kept({"optimizer": "adam"})
    task = {"dataset": "digits", "model": "mlp", "epochs": EPOCHS, "diagnostics": level}
    run_task(task, kept)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tuner.db")
        client = tuner.Client(database_url=f"sqlite:///{file}")
        study = client.create_study(
            "store", space={"x": tuner.Float(0, 1)}, objective="val_loss", sampler="random"
        )
        before = size(file)
        begun = time.perf_counter()
        for _ in range(trials):
            trial = study.ask()
            for step, metrics in kept.rows.items():
                trial.report(step, **metrics)
            trial.tell()
        seconds = time.perf_counter() - begun
        kilobytes = (size(file) - before) / 1e3
        client.close()
    rows = sum(len(metrics) for metrics in kept.rows.values())
    return rows, kilobytes / trials, seconds / trials


def size(file: Path) -> int:
    """Bytes of the database without free pages."""
    copy = file.with_suffix(f".{time.monotonic_ns()}")
    with closing(sqlite3.connect(file)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    return copy.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--models", default="mlp,cnn,gru")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("model  batch  ms/epoch   basic    full")
    for model in options.models.split(","):
        for batch in BATCHES:
            taken = epochs(model, batch, options.optimizer, options.rounds)
            none, *others = (min(taken[level]) for level in LEVELS)
            ratios = "  ".join(f"x{other / none:.3f}" for other in others)
            print(f"{model:5} {batch:6} {none * 1e3:9.1f}  {ratios}", flush=True)
    print("\nlevel   rows/trial  kB/trial  ms/trial")
    for level in LEVELS:
        rows, kilobytes, seconds = store(level, options.trials)
        print(f"{level:6} {rows:11} {kilobytes:9.1f} {seconds * 1e3:9.1f}")


if __name__ == "__main__":
    main()
