"""Ask for parameters, evaluate them yourself, tell the result.

    python examples/ask_and_tell.py

The study lives in tuner.db in the current folder. Stop it and run it again: it goes on where it
stopped. When the budget is spent, it prints the result and starts nothing.
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
            budget={"trials": TRIALS},
            exist_ok=True,
        )
        while (trial := study.ask()) is not None:
            trial.tell(evaluate(trial.params["x"], trial.params["y"]))
        best = study.best
        assert best is not None
        print(f"{study.refresh().counts['complete']} trials, best is number {best['number']}:")
        print(f"  error {best['values']['error']:.4g} at {best['params']}")


if __name__ == "__main__":
    main()
