"""A training script that knows nothing of tuner: logistic regression on breast cancer data.

It takes its hyperparameters as options and prints one line per epoch. The only thing it does for
tuner is the form of that line; see command.yaml beside it.
"""

import argparse
import json

import numpy as np
from sklearn.datasets import load_breast_cancer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=9)
    args = parser.parse_args()

    random = np.random.default_rng(0)
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    order = random.permutation(len(x))
    train, held_out = order[:455], order[455:]
    weights, velocity = np.zeros(x.shape[1] + 1), np.zeros(x.shape[1] + 1)
    x = np.column_stack([x, np.ones(len(x))])

    for epoch in range(1, args.epochs + 1):
        random.shuffle(train)
        for start in range(0, len(train), args.batch_size):
            rows = train[start : start + args.batch_size]
            wrong = sigmoid(x[rows] @ weights) - y[rows]
            velocity = args.momentum * velocity - args.lr * x[rows].T @ wrong / len(rows)
            weights = weights + velocity
        p = np.clip(sigmoid(x[held_out] @ weights), 1e-12, 1 - 1e-12)
        loss = -np.mean(y[held_out] * np.log(p) + (1 - y[held_out]) * np.log(1 - p))
        print("tuner:", json.dumps({"step": epoch, "val_loss": float(loss)}), flush=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -500, 500)))


if __name__ == "__main__":
    main()
