"""A search space with branches: each model has parameters of its own.

    python examples/conditional_space.py

`when` says in which branch a parameter exists. A trial has the active parameters only, and the
samplers learn in each branch (nothing falls back to random because a parameter is conditional).
"""

import math

import tuner

SPACE = {
    "model": tuner.Categorical(["tree", "linear"]),
    "depth": tuner.Int(1, 12, when={"model": "tree"}),
    "penalty": tuner.Categorical(["l1", "l2"], when={"model": "linear"}),
    "strength": tuner.Float(1e-4, 10.0, log=True, when={"model": "linear"}),
    # a chain: active for linear models with penalty l1 only
    "ratio": tuner.Float(0.0, 1.0, when={"penalty": "l1"}),
}


def objective(trial) -> float:
    params = trial.params
    if params["model"] == "tree":
        assert "strength" not in params
        return 0.30 + 0.01 * (params["depth"] - 5) ** 2
    loss = 0.25 + 0.05 * math.log10(params["strength"] / 0.1) ** 2
    return loss + (0.1 * params["ratio"] if params["penalty"] == "l1" else 0.02)


def main() -> None:
    with tuner.Client() as client:
        study = client.create_study(
            "conditional-space",
            space=SPACE,
            objective=("loss", "minimize"),
            sampler={"name": "gp", "seed": 1},
            exist_ok=True,
        )
        study.enqueue({"model": "tree", "depth": 3})  # tried first; partial ones are completed
        study.optimize(objective, trials=24)
        for trial in sorted(study.trials(states=["complete"]), key=lambda t: t["values"]["loss"])[
            :3
        ]:
            print(
                f"trial {trial['number']:2}: loss {trial['values']['loss']:.4f} {trial['params']}"
            )


if __name__ == "__main__":
    main()
