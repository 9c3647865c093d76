"""The registries of data sets, models, options and metrics that built-in training implements.

To add a data set or model: one entry here, and its implementation in `tuner.training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tuner.core.entrypoint import PATTERN as ENTRYPOINT
from tuner.tasks.datasets import DATASETS, Dataset
from tuner.tasks.metrics import (
    CLASSIFICATION_ONLY,
    CONFIRMATION_ONLY,
    LEVELS,
    METRICS,
    SOMETIMES,
    level_of,
)
from tuner.tasks.option import Option
from tuner.tasks.schedules import SCHEDULE_OPTIONS
from tuner.tasks.source import ENTRYPOINT_SHAPE, PATHS, PATHS_SHAPE, SOURCE_OPTIONS
from tuner.tasks.steps import STEP_OPTIONS

__all__ = [
    "CLASSIFICATION_ONLY",
    "CONFIRMATION_ONLY",
    "DATASETS",
    "METRICS",
    "MODELS",
    "OPTIONS",
    "Dataset",
    "Model",
    "describe_tasks",
]


@dataclass(frozen=True)
class Model:
    """A model family.

    Args:
        name: Name in study files.
        title: Name for people.
        doc: Its layers in order.
        images_only: Whether it takes image data sets only, as an image or as a sequence of rows.
        reconstructs: Whether its targets are its inputs, whatever those of the data set.
    """

    name: str
    title: str
    doc: str
    images_only: bool = False
    reconstructs: bool = False

    def takes(self, dataset: Dataset) -> bool:
        """Whether the model can be trained on `dataset`."""
        return dataset.image is not None or not self.images_only


_RECURRENT_DOC: Final = (
    "the rows of the image in order; `depth` layers of `width` units (at least one), dropout after "
    "each; linear of the last state"
)
MODELS: Final[dict[str, Model]] = {
    item.name: item
    for item in (
        Model(
            "mlp",
            "Multilayer perceptron",
            "`depth` times linear of `width`, norm, activation, dropout; then linear",
        ),
        Model("linear", "Linear or logistic regression", "linear"),
        Model(
            "cnn",
            "Small convolutional network",
            "3×3 convolution to `channels`, norm, activation, 2×2 max pooling; the same to twice "
            "the channels; dropout; linear",
            images_only=True,
        ),
        *(
            Model(name, title, _RECURRENT_DOC, images_only=True)
            for name, title in (
                ("rnn", "Elman network (tanh)"),
                ("gru", "Gated recurrent units"),
                ("lstm", "Long short-term memory"),
            )
        ),
        Model(
            "transformer",
            "Transformer encoder, norms first",
            "the rows of the image in order, each linear to `width`; learned positions; `depth` "
            "times attention of `heads` heads and two linear layers with four times `width` "
            "between; layer norm; mean over the rows; linear",
            images_only=True,
        ),
        Model(
            "autoencoder",
            "Autoencoder: its targets are its inputs",
            "`depth` times linear of `width`, norm, activation, dropout; linear to `code`; `depth` "
            "times the same again; linear to the inputs",
            reconstructs=True,
        ),
    )
}
_SEQUENCE: Final = ("rnn", "gru", "lstm", "transformer")
_DEEP: Final = frozenset({"mlp", "autoencoder", *_SEQUENCE})
_CNN: Final = frozenset({"cnn"})
_CLASSES: Final = frozenset({"generated_classification"})
_SIZED: Final = frozenset({*_CLASSES, "generated_regression"})
_NORMED: Final = frozenset({"mlp", "cnn", "autoencoder"})
_ACTIVE: Final = frozenset({"mlp", "cnn", "transformer"})
OPTIONS: Final[dict[str, Option]] = {
    item.name: item
    for item in (
        Option(
            "dataset",
            "categorical",
            "Data set by name, or a file, a folder of images or torchvision:NAME; this or data.",
            choices=tuple(DATASETS),
            pattern=PATHS,
            shape=PATHS_SHAPE,
        ),
        Option(
            "model",
            "categorical",
            "Model by name, or an entrypoint that builds your own.",
            default="mlp",
            choices=tuple(MODELS),
            pattern=ENTRYPOINT,
            shape=ENTRYPOINT_SHAPE,
        ),
        *SOURCE_OPTIONS,
        Option(
            "examples",
            "int",
            "Examples of a generated data set.",
            2000,
            20,
            10_000_000,
            datasets=_SIZED,
        ),
        Option(
            "features",
            "int",
            "Features of a generated data set.",
            20,
            1,
            100_000,
            datasets=_SIZED,
        ),
        Option(
            "classes",
            "int",
            "Classes of a generated data set; at least two examples each.",
            4,
            2,
            10_000,
            datasets=_CLASSES,
        ),
        Option("epochs", "int", "Passes over the training set.", 27, 1, 100_000),
        Option(
            "batch_size",
            "int",
            "Examples per step; the last batch of an epoch may be smaller. Absent: 64, or the whole "
            "training set for optimizers meant for it; gd always takes the whole.",
            64,
            1,
            65_536,
        ),
        *STEP_OPTIONS,
        Option(
            "optimizer",
            "categorical",
            "Optimizer (see `tuner optimizers list`) where the space has no `optimizer`.",
            default="adam",
        ),
        Option(
            "weight_decay",
            "float",
            "Weight decay, coupled or decoupled as the optimizer says; absent: the optimizer's.",
            None,
            0.0,
            100.0,
        ),
        Option(
            "layer_decay",
            "float",
            "Factor on the learning rate for each layer below the last; 1: all layers alike.",
            1.0,
            0.01,
            1.0,
        ),
        Option(
            "decay_on",
            "categorical",
            "What weight decay acts on: all, or weights (not biases and norms).",
            default="all",
            choices=("all", "weights"),
        ),
        Option(
            "clip_norm",
            "float",
            "A gradient that is longer, over all weights, is shortened to this length; absent: no "
            "clipping. lbfgs and newton_cg search along a line and do not clip.",
            None,
            1e-6,
            1e6,
        ),
        Option(
            "label_smoothing",
            "float",
            "Share of each label's weight that is spread over all classes in training "
            "(classification only).",
            0.0,
            0.0,
            0.9,
        ),
        Option(
            "patience",
            "int",
            "The trial ends after this many epochs in a row without a new least val_loss; absent: "
            "never.",
            None,
            1,
            100_000,
        ),
        Option("dropout", "float", "Share of hidden units dropped in training.", 0.0, 0.0, 0.95),
        *SCHEDULE_OPTIONS,
        Option(
            "activation",
            "categorical",
            "Activation function.",
            default="relu",
            choices=("relu", "tanh", "gelu"),
        ),
        Option("width", "int", "Units in each hidden layer or state.", 64, 1, 8192, models=_DEEP),
        Option(
            "depth",
            "int",
            "Number of hidden layers; in an autoencoder on each side of the code.",
            2,
            0,
            32,
            models=_DEEP,
        ),
        Option(
            "code",
            "int",
            "Numbers that an autoencoder makes of an example.",
            8,
            1,
            8192,
            models=frozenset({"autoencoder"}),
        ),
        Option(
            "heads",
            "int",
            "Heads of attention, each of `width` / `heads` units, rounded up.",
            4,
            1,
            64,
            models=frozenset({"transformer"}),
        ),
        Option(
            "norm",
            "categorical",
            "Norm before each activation, of the batch or of the layer (of all channels of an "
            "example in a cnn).",
            default="none",
            choices=("none", "batch", "layer"),
            models=_NORMED,
        ),
        Option("channels", "int", "Channels of the first convolution.", 16, 1, 1024, models=_CNN),
        Option(
            "validation",
            "float",
            "Share of the examples held out for validation; the split is the same for every seed.",
            0.2,
            0.05,
            0.5,
        ),
        Option(
            "test",
            "float",
            "Share of the examples held out for the test set, which only confirmation trials see; "
            "0: none.",
            0.2,
            0.0,
            0.5,
        ),
        Option("seed", "int", "Seed of weights, order of examples and dropout.", 0, 0, 2**53 - 1),
        Option("threads", "int", "CPU threads of one trial.", 1, 1, 256),
        Option(
            "diagnostics",
            "categorical",
            "Metrics on the training itself: none (progress and time only), basic, or full (one "
            "update ratio per layer too).",
            default="basic",
            choices=LEVELS,
        ),
    )
}


def describe_tasks() -> dict[str, Any]:
    """All data sets, models, options and metrics as a JSON object."""
    return {
        "datasets": [
            {
                "name": item.name,
                "title": item.title,
                "kind": item.kind,
                "rows": item.rows,
                "features": item.features,
                "outputs": item.outputs,
                "image": None if item.image is None else list(item.image),
                "generated": item.is_generated,
                "source": item.source,
                "models": [model.name for model in MODELS.values() if model.takes(item)],
            }
            for item in DATASETS.values()
        ],
        "models": [
            {
                "name": item.name,
                "title": item.title,
                "doc": item.doc,
                "datasets": [data.name for data in DATASETS.values() if item.takes(data)],
            }
            for item in MODELS.values()
        ],
        "options": [item.describe() for item in OPTIONS.values()],
        "metrics": [
            {
                "name": name,
                "doc": doc,
                "classification_only": name in CLASSIFICATION_ONLY,
                "confirmation_only": name in CONFIRMATION_ONLY,
                "diagnostics": level_of(name),
                "always": name not in SOMETIMES,
            }
            for name, doc in METRICS.items()
        ],
    }
