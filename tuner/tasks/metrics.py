"""The metrics that built-in training reports."""

from __future__ import annotations

from typing import Final

LEVELS: Final = ("none", "basic", "full")
# One metric for each layer of the model: the name, a dot, and the weight's name.
PER_LAYER: Final = "update_ratio.<weight>"

_ALWAYS: Final = {
    "train_loss": "Mean loss over the epoch's batches, with dropout and label smoothing, while "
    "training: cross entropy in nats, or the mean squared error of the standardised target (of an "
    "autoencoder: of the standardised inputs)",
    "train_accuracy": "Share of right answers over the epoch's batches (classification only)",
    "val_loss": "Mean loss on the validation set after the epoch",
    "val_accuracy": "Share of right answers on the validation set (classification only)",
    "params_million": "Trainable parameters of the model, in millions",
    "lr": "Learning rate of the epoch's last step",
    "evaluations": "Evaluations of the loss on a batch so far, products with the Hessian included",
    "steps": "Optimizer steps so far",
    "seconds": "Seconds of training so far, evaluation and pauses not counted",
    "examples_per_second": "Training examples per second in the epoch, evaluation not counted",
    "best_step": "Optimizer steps at the epoch of the least val_loss so far",
    "test_loss": "Mean loss on the test set of the weights with the least val_loss; only at the last "
    "step of a confirmation trial",
    "test_accuracy": "Share of right answers on the test set of the same weights, at the same step "
    "(classification only)",
}
_BASIC: Final = {
    "grad_norm": "Length of the gradient over all weights before clipping, mean over the epoch's "
    "steps; of methods with several gradients in a step the first",
    "grad_norm_max": "The longest gradient of the epoch",
    "grad_norm_p90": "The 90th percentile of the epoch's gradient lengths",
    "grad_noise_scale": "Simple gradient noise scale tr Σ/|G|² in examples, over the last ten "
    "probes, one every 32 steps; infinite where they do not resolve |G|²; absent before the first "
    "and where a batch is the whole training set",
    "clipped_share": "Share of the epoch's steps whose gradient was longer than clip_norm; 0 "
    "without clipping",
    "update_ratio": "‖Δw‖/‖w‖ of a step: median over the layers of the mean over every 16th step of "
    "the epoch, its first included",
    "dead_units": "Share of hidden units that are zero (ReLU) or beyond ±0.99 (tanh) on the whole "
    "validation set; absent where the model has neither",
    "loss_spikes": "Steps so far whose loss was more than seven standard deviations and a tenth "
    "above its moving mean",
    "peak_memory_mb": "Most memory of the training so far, in 10⁶ bytes: allocated by torch on a "
    "GPU; on a CPU resident memory of the process above what it had before",
}
_FULL: Final = {
    PER_LAYER: "The same for one layer: a weight of at least two dimensions, by its name in the "
    "model",
}
METRICS: Final[dict[str, str]] = {**_ALWAYS, **_BASIC, **_FULL}
CLASSIFICATION_ONLY: Final = frozenset({"train_accuracy", "val_accuracy", "test_accuracy"})
# Known once, at the end of a confirmation, so that no search can be led by the test set.
CONFIRMATION_ONLY: Final = frozenset({"test_loss", "test_accuracy"})
# Not at every epoch of every trial.
SOMETIMES: Final = frozenset({"grad_noise_scale", "dead_units", PER_LAYER})


def level_of(metric: str) -> str:
    """The least value of the option `diagnostics` with which a metric is reported."""
    if metric in _ALWAYS:
        return "none"
    return "basic" if metric in _BASIC else "full"


def is_diagnostic(metric: str) -> bool:
    """Whether the metric tells of the training itself, as a gradient norm, and not of its result."""
    return family(metric) in METRICS and level_of(family(metric)) != LEVELS[0]


def is_reported(metric: str, level: str) -> bool:
    """Whether the metric is reported with this value of `diagnostics`."""
    return LEVELS.index(level_of(metric)) <= LEVELS.index(level)


def family(metric: str) -> str:
    """The registered name of a metric: of one for a layer that of all of them."""
    prefix = PER_LAYER.partition("<")[0]
    return PER_LAYER if metric.startswith(prefix) and metric != prefix else metric
