"""Two scikit-learn models, each with its own parameters, by cross-validated accuracy.

    python examples/sklearn_objective.py [WORKERS]

With more than one worker the trials run in that many processes.
"""

import sys

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tuner

SPACE = {
    "model": tuner.Categorical(["svc", "forest"]),
    "C": tuner.Float(1e-2, 1e3, log=True, when={"model": "svc"}),
    "gamma": tuner.Float(1e-4, 1.0, log=True, when={"model": "svc"}),
    "trees": tuner.Int(10, 60, log=True, when={"model": "forest"}),
    "max_depth": tuner.Int(2, 10, when={"model": "forest"}),
}


def objective(trial) -> float:
    params = trial.params
    if params["model"] == "svc":
        model = make_pipeline(StandardScaler(), SVC(C=params["C"], gamma=params["gamma"]))
    else:
        model = RandomForestClassifier(
            n_estimators=params["trees"], max_depth=params["max_depth"], random_state=0
        )
    x, y = load_wine(return_X_y=True)
    return float(cross_val_score(model, x, y, cv=3).mean())


def main(workers: int = 1) -> None:
    with tuner.Client() as client:
        study = client.create_study(
            "sklearn",
            space=SPACE,
            objective=("accuracy", "maximize"),
            sampler={"name": "tpe", "seed": 1},
            exist_ok=True,
        )
        study.optimize(objective, trials=12, workers=workers)
        best = study.best
        assert best is not None
        print(f"best of {sum(study.counts.values())}: accuracy {best['values']['accuracy']:.3f}")
        print(f"  {best['params']}")


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:2]))
