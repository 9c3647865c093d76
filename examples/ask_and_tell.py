"""Ask for parameters, evaluate them yourself, tell the result.

    python examples/ask_and_tell.py

The study lives in tuner.db in the current folder. Run it again: it prints the same result and
starts nothing, because the budget is spent; raise TRIALS and it goes on where it stopped.
"""

import tuner

TRIALS = 20


def evaluate(x: float, y: float) -> float:
    """Stands for whatever you measure: an experiment, a simulation, a build."""
    return (x - 1.0) ** 2 + 10 * (y - 0.01) ** 2


def main() -> None:
    with tuner.Client() as client:
        study = client.create_study(
            "ask-and-tell",
            space={"x": tuner.Float(-2.0, 2.0), "y": tuner.Float(1e-4, 1.0, log=True)},
            objective=("error", "minimize"),
            sampler={"name": "tpe", "seed": 1},
            exist_ok=True,
        )
        study.change(budget={"trials": TRIALS})
        while (trial := study.ask()) is not None:
            trial.tell(evaluate(trial.params["x"], trial.params["y"]))
        best = study.best
        assert best is not None
        print(f"{study.refresh().counts['complete']} trials, best is number {best['number']}:")
        print(f"  error {best['values']['error']:.4g} at {best['params']}")


if __name__ == "__main__":
    main()
