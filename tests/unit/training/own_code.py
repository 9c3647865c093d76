"""Models, data, losses and metrics as users write them, right and wrong; loaded by entrypoint."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(80, 6)).astype(np.float32)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
NUMBERS = (X[:, :1] * 2 + 1).astype(np.float32)


class Residual(nn.Module):
    def __init__(self, features, width, outputs):
        super().__init__()
        self.first = nn.Linear(features, width)
        self.block = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.1))
        self.last = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.first(x.flatten(1))
        return self.last(x + self.block(x))


def build(params, data):
    return Residual(data.features, params.get("width2", 8), data.outputs)


def build_of_params(params):
    return Residual(6, params["width2"], 2)


def build_alone():
    return Residual(6, 8, 2)


def build_with_norm(params, data):
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def build_one_logit():
    return nn.Linear(6, 1)


def build_flat():
    return nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))


def build_pair():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    return Pair(6, 2)


def build_sum():
    class Sum(nn.Linear):
        def forward(self, x):
            return super().forward(x).sum(0)

    return Sum(6, 3)


def build_nothing():
    return nn.ReLU()


def build_frozen():
    return nn.Linear(6, 2).requires_grad_(requires_grad=False)


def build_text(params, data):
    return "a model"


def build_strange(params, data, size):
    return nn.Linear(6, size)


def build_tokens(params, data):
    return nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(4 * data.inputs[0], 2))


def build_image(params, data):
    channels, height, width = data.inputs
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(4 * (height - 2) * (width - 2), 10)
    )


def load(params):
    return X, LABELS


def load_named(params):
    return {"train_x": X[:50], "train_y": LABELS[:50], "val_x": X[50:], "val_y": LABELS[50:]}


def load_numbers():
    return torch.from_numpy(X), NUMBERS[:, 0]


def load_sets():
    whole = TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS))
    return torch.utils.data.Subset(whole, range(60)), torch.utils.data.Subset(whole, range(60, 80))


def load_tokens():
    return RANDOM.integers(0, 20, (80, 5)), LABELS


def load_by_size(params):
    rows = params["rows"]
    return X[:rows], LABELS[:rows]


def bad_count():
    return X, LABELS, X


def bad_name():
    return {"train_x": X, "trian_y": LABELS}


def bad_half():
    return {"train_x": X}


def bad_text():
    return X, None


def bad_ragged():
    return [[1], [1, 2]], LABELS


def bad_rows():
    return X, LABELS[:-1]


def bad_nan():
    return np.where(X > 2, np.nan, X), LABELS


def bad_labels():
    return X, LABELS - 1


def bad_shape():
    return X, LABELS, X[:, :3], LABELS


def bad_set():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    return Endless()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets) + 0.0


def loss_of_logit(outputs, targets):
    return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())


def loss_of_pair(outputs, targets):
    return nn.functional.cross_entropy(outputs[0], targets)


def bad_loss_vector(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def bad_loss_number(outputs, targets):
    return 0.5


def bad_loss_detached(outputs, targets):
    return nn.functional.cross_entropy(outputs.detach(), targets)


def right(outputs, targets):
    return (outputs.argmax(1) == targets).float().mean()


def several(outputs, targets):
    return {"right": right(outputs, targets), "count": len(targets)}


def bad_metric_text(outputs, targets):
    return "good"


def bad_metric_name(outputs, targets):
    return {"loss": 1.0}


value = 3
