"""The pathologies: what each means, where its rule comes from, what to do about it.

`docs/advice.md` has a row for every one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tuner.analysis.diagnosis import signals
from tuner.analysis.diagnosis.case import SEVERITIES, Case, Finding

CS231N: Final = "Stanford CS231n, course notes"


@dataclass(frozen=True)
class Pathology:
    """What a finding of this name means.

    Args:
        name: Name in reports.
        needs: The metrics of which the rule needs all, `objective` standing for its curve.
        trigger: When it is found.
        source: Where the rule comes from.
        action: What to do.
        find: The rule.
    """

    name: str
    needs: tuple[str, ...]
    trigger: str
    source: str
    action: str
    find: Callable[[Case], Finding | None]


PATHOLOGIES: Final[dict[str, Pathology]] = {
    item.name: item
    for item in (
        Pathology(
            "divergence",
            ("objective",),
            "the value or a loss is not finite (severe), or the loss ends above where it began by "
            f"{signals.ROSE:.0%} of the way from start to best, or stays above nine tenths of the trials' first "
            "values by all of it",
            "our choice",
            "Lower the learning rate; or warm up (`warmup`) and clip (`clip_norm`).",
            signals.divergence,
        ),
        Pathology(
            "exploding-gradients",
            ("grad_norm",),
            f"the longest gradient of an epoch is {signals.EXPLODED:g} times the usual one of the five epochs "
            "around it, or not finite (severe)",
            "Pascanu et al. 2013 (arXiv:1211.5063); the factor is our choice",
            "Clip at about the 90th percentile of the gradient norms (`clip_norm`); lower the "
            "learning rate.",
            signals.exploding,
        ),
        Pathology(
            "vanishing-gradients",
            ("grad_norm",),
            f"gradient norm below {signals.VANISHED_NORM:g} in the first half and the loss well above what "
            f"others reached; or, with per-layer rows, one layer's update ratio below "
            f"{signals.LAYER_SPREAD:g} of another's",
            "Glorot and Bengio 2010; the thresholds are our choice",
            "Use relu or gelu, a norm (`norm: layer` or `batch`), fewer layers, or gru or lstm in "
            "place of rnn.",
            signals.vanishing,
        ),
        Pathology(
            "local-minimum-or-saddle",
            ("objective", "grad_norm"),
            f"progress below {signals.FLAT:.0%} of the way over the last third, {signals.WELL_ABOVE:.0%} of the way "
            f"short of the best trial, gradient norm at most {signals.GRADIENT_GONE:.0%} of its early one",
            "Goodfellow, Bengio and Courville 2016, section 8.2.2; Dauphin et al. 2014 "
            "(arXiv:1406.2572); the thresholds are our choice",
            "Start from another `seed`, with a larger learning rate, more momentum or smaller "
            "batches: noise and speed leave saddles.",
            signals.local_minimum,
        ),
        Pathology(
            "plateau",
            ("objective",),
            "flat and short of the best trial as above, but the gradient has not gone (or is not "
            "known)",
            "Goodfellow, Bengio and Courville 2016, section 8.2.2; the thresholds are our choice",
            "Where the gradient is still large the steps jump to and fro: lower or decay the "
            "learning rate (`schedule: cosine`); else raise it.",
            signals.plateau,
        ),
        Pathology(
            "noisy-gradients",
            ("grad_noise_scale",),
            f"gradient noise scale at least {signals.NOISE_OVER_BATCH:g} times the batch size, median over "
            "the training",
            "McCandlish et al. 2018 (arXiv:1812.06162), eq. 2.7; the factor is our choice",
            "No fault by itself. Larger batches would use each step better (then tune the learning "
            "rate again); or decay it and use more momentum.",
            signals.noisy,
        ),
        Pathology(
            "overfitting",
            ("train_loss", "val_loss"),
            f"val_loss at the end {signals.GENERALIZATION_LOSS:.0%} above its least, which lies at least "
            f"{signals.LASTING_POINTS} reports and {signals.LASTING_SHARE:.0%} of them back, while train_loss fell "
            "on; info where the objective takes the best step",
            "Prechelt 1998, Early stopping, but when?: criterion GL with alpha 5",
            "Regularise (`dropout`, `weight_decay`, `label_smoothing`), train shorter or stop "
            "early (`patience`), or take `from: best`.",
            signals.overfitting,
        ),
        Pathology(
            "dead-units",
            ("dead_units",),
            f"at least {signals.DEAD_SHARE:.0%} of the hidden units are dead at the end",
            f"{CS231N} (Neural Networks 1)",
            "Lower the learning rate, warm up, use gelu, or a norm before the activation.",
            signals.dead,
        ),
        Pathology(
            "updates-too-small",
            ("update_ratio", "objective"),
            f"median update ratio of the first half at most {signals.UPDATE_LOW:g}, and well above what "
            "others reached; not for methods with a line search",
            f"{CS231N} (Neural Networks 3): about 1e-3; the width is our choice",
            "Raise the learning rate.",
            signals.too_small,
        ),
        Pathology(
            "updates-too-large",
            ("update_ratio",),
            f"median update ratio of the first half at least {signals.UPDATE_HIGH:g}; info where the trial "
            "is good all the same; not for methods with a line search",
            f"{CS231N} (Neural Networks 3): about 1e-3; the width is our choice",
            "Lower the learning rate, or warm up.",
            signals.too_large,
        ),
        Pathology(
            "loss-spikes",
            ("loss_spikes",),
            f"at least {signals.SPIKES} jumps of the loss",
            "our choice",
            "Warm up, clip, or lower the learning rate.",
            signals.spikes,
        ),
    )
}


def recognise(case: Case) -> list[Finding]:
    """All findings of one trial, the severest first."""
    found = [finding for item in PATHOLOGIES.values() if (finding := item.find(case)) is not None]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
