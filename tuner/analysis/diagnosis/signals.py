"""How each pathology shows in a trial's curves: one function each, silent where metrics are missing.

What is told of them, and what to do, is in `rules`.
"""

from __future__ import annotations

import math
import statistics
from typing import Final

from tuner.analysis.diagnosis.case import MIN_POINTS, Case, Finding
from tuner.analysis.evidence import Curve
from tuner.analysis.wording import number

# A trial this share of the way from start to best behind the best one is "well above"; our choice:
# differences between good trials and seeds are far smaller.
WELL_ABOVE: Final = 0.2
# Less progress than this share of the way, over the last third, is flat; our choice.
FLAT: Final = 0.01
# A gradient that shrank below this share of its early size has all but gone; our choice. That the
# norm tells a critical point from other trouble: Goodfellow et al. 2016, section 8.2.2.
GRADIENT_GONE: Final = 0.05
# Steps along a gradient this short change no float32 weight of usual size; our choice.
VANISHED_NORM: Final = 1e-6
# Layers whose relative updates differ by this factor do not train together; our choice.
LAYER_SPREAD: Final = 1e-3
# The longest gradient of an epoch over the usual one of the five epochs around it; our choice: in
# healthy trainings of the built-in models it stays below 5, in restless ones below 15.
EXPLODED: Final = 30.0
_AROUND: Final = 2
# Loss at the end above the one at the start by this share of the way is no noise; our choice.
ROSE: Final = 0.1
# A rise that lasts, not one restless epoch; our choice.
LASTING_POINTS: Final = 3
LASTING_SHARE: Final = 0.15
# Early-stopping criterion GL with its usual alpha of 5 per cent: Prechelt 1998, section 2.
GENERALIZATION_LOSS: Final = 0.05
# A step of batch B makes 1 / (1 + noise/B) of the progress of a noiseless one: McCandlish et al.
# 2018 (arXiv:1812.06162), eq. 2.7. Ten: less than a tenth; the factor is our choice.
NOISE_OVER_BATCH: Final = 10.0
# Stanford CS231n, notes "Neural Networks 1": as much as 40 % dead where the rate is too high.
DEAD_SHARE: Final = 0.4
# Stanford CS231n, notes "Neural Networks 3": about 1e-3 is healthy; a decade and a half each way
# is our choice.
UPDATE_LOW: Final = 3e-5
UPDATE_HIGH: Final = 3e-2
# One spike can be a bad batch; our choice.
SPIKES: Final = 3


def divergence(case: Case) -> Finding | None:
    """A loss that is not finite, rises, or stays far above where trials begin."""
    bad = [v for metric in ("train_loss", "val_loss") for v in case.values(metric)]
    if case.diverged or not all(map(math.isfinite, [*bad, *case.costs])):
        return Finding("divergence", "severe", {}, "The loss became infinite or not a number.")
    fit = case.fit
    if len(fit) < MIN_POINTS or case.span is None or case.fit_span is None:
        return None
    level = statistics.median(case.costs[-3:]) if case.costs else -math.inf
    if case.high_start is not None and level > case.high_start + case.span:
        text = (
            f"The objective stayed far above where trials begin ({number(level)} as a cost, trials "
            f"begin at {number(case.start)})."
        )
        return Finding("divergence", "warning", {"level": level, "start": case.high_start}, text)
    rise = (statistics.median(fit[-3:]) - fit[0]) / case.fit_span
    if rise < ROSE:
        return None
    text = f"The loss ended above where it began ({number(fit[0])} to {number(fit[-1])})."
    return Finding("divergence", "warning", {"first": fit[0], "last": fit[-1]}, text)


def exploding(case: Case) -> Finding | None:
    """Gradients far longer than those around them, or not finite."""
    norms = case.values("grad_norm")
    if not all(map(math.isfinite, [*norms, *case.values("grad_norm_max")])):
        text = "The gradient became infinite or not a number."
        return Finding("exploding-gradients", "severe", {}, text)
    means = case.curves.get("grad_norm", [])
    longest, usual = _burst(means, case.curves.get("grad_norm_max") or means)
    if usual <= 0 or longest < EXPLODED * usual:
        return None
    text = (
        f"The longest gradient ({number(longest, 3)}) was {number(longest / usual, 2)} times the "
        "usual one of that time."
    )
    found = {"longest": longest, "usual": usual, "factor": longest / usual}
    return Finding("exploding-gradients", "warning", found, text)


def _burst(means: Curve, longest: Curve) -> tuple[float, float]:
    """The longest gradient, relative to the usual one of the epochs around it, and that one."""
    worst = (0.0, 0.0)
    peaks, norms = dict(longest), [norm for _, norm in means]
    for i, (step, _) in enumerate(means):
        if step not in peaks:
            continue
        peak, usual = peaks[step], statistics.median(norms[max(0, i - _AROUND) : i + _AROUND + 1])
        if usual > 0 and peak * worst[1] >= worst[0] * usual:
            worst = (peak, usual)
    return worst


def vanishing(case: Case) -> Finding | None:
    """Gradients that are all but zero from the start, or do not reach a layer."""
    norms = case.finite("grad_norm")
    if len(norms) >= MIN_POINTS and case.gap is not None and case.gap >= WELL_ABOVE:
        early = statistics.median(norms[: len(norms) // 2])
        if early < VANISHED_NORM:
            text = (
                f"The gradient was all but zero from the start (norm {number(early)}), "
                "so the loss stayed high."
            )
            found = {"grad_norm": early, "gap": case.gap}
            return Finding("vanishing-gradients", "warning", found, text)
    return _uneven_layers(case)


def _uneven_layers(case: Case) -> Finding | None:
    prefix = "update_ratio."
    layers = {
        metric.removeprefix(prefix): statistics.median(values)
        for metric in case.curves
        if metric.startswith(prefix) and (values := case.finite(metric))
    }
    if len(layers) < 2:
        return None
    weakest, strongest = min(layers, key=layers.__getitem__), max(layers, key=layers.__getitem__)
    if layers[strongest] <= 0 or layers[weakest] > LAYER_SPREAD * layers[strongest]:
        return None
    text = (
        f"Layer {weakest} hardly moves (update ratio {number(layers[weakest])}, layer "
        f"{strongest} {number(layers[strongest])}): the gradient does not reach it."
    )
    found: dict[str, float | str] = {
        "layer": weakest,
        "update_ratio": layers[weakest],
        "largest": layers[strongest],
    }
    return Finding("vanishing-gradients", "warning", found, text)


def _stall(case: Case) -> tuple[float, float] | None:
    """Progress over the last third and the gap, where the trial is flat and well above others."""
    fit, span, gap = case.fit, case.fit_span, case.gap
    if len(fit) < MIN_POINTS or span is None or gap is None or gap < WELL_ABOVE:
        return None
    if overfitting(case) is not None or divergence(case) is not None:
        return None
    last = fit[-(len(fit) // 3) :]
    half = max(1, len(last) // 2)
    progress = (statistics.median(last[:half]) - statistics.median(last[-half:])) / span
    return (progress, gap) if abs(progress) < FLAT else None


def _gradient_left(case: Case) -> float | None:
    """The gradient norm at the end as a share of the early one."""
    norms = case.finite("grad_norm")
    if len(norms) < MIN_POINTS:
        return None
    early = statistics.median(norms[: len(norms) // 4])
    return statistics.median(norms[-(len(norms) // 4) :]) / early if early > 0 else None


def local_minimum(case: Case) -> Finding | None:
    """A flat, high loss whose gradient has gone."""
    stalled, left = _stall(case), _gradient_left(case)
    if stalled is None or left is None or left > GRADIENT_GONE:
        return None
    text = (
        f"The loss is flat, {stalled[1]:.0%} of the way short of the best trial, and the gradient "
        f"has shrunk to {left:.1%} of its early norm: likely a local minimum or a saddle."
    )
    found = {"progress": stalled[0], "gap": stalled[1], "gradient_left": left}
    return Finding("local-minimum-or-saddle", "warning", found, text)


def plateau(case: Case) -> Finding | None:
    """A flat, high loss whose gradient has not gone."""
    stalled, left = _stall(case), _gradient_left(case)
    if stalled is None or (left is not None and left <= GRADIENT_GONE):
        return None
    still = "" if left is None else f", although the gradient keeps {left:.0%} of its early norm"
    text = f"The loss is flat, {stalled[1]:.0%} of the way short of the best trial{still}."
    found = {"progress": stalled[0], "gap": stalled[1]}
    if left is not None:
        found["gradient_left"] = left
    return Finding("plateau", "warning", found, text)


def noisy(case: Case) -> Finding | None:
    """A gradient noise scale far above the batch size."""
    # infinite where probes could not tell the gradient from its noise
    noise = [value for value in case.values("grad_noise_scale") if not math.isnan(value)]
    if not noise or not case.batch_size:
        return None
    scale = statistics.median(noise)
    if scale < NOISE_OVER_BATCH * case.batch_size:
        return None
    share = 1 / (1 + scale / case.batch_size)
    text = (
        f"The noise scale ({number(scale, 3)} examples) is far above the batch size "
        f"({number(case.batch_size, 3)}): a step makes about {share:.1%} of a noiseless one's progress."
    )
    found = {"grad_noise_scale": scale, "batch_size": case.batch_size, "progress_share": share}
    return Finding("noisy-gradients", "info", found, text)


def overfitting(case: Case) -> Finding | None:
    """A lasting rise of the validation loss while the training loss falls."""
    val, train = case.curves.get("val_loss", []), dict(case.curves.get("train_loss", []))
    usable = [
        (s, v) for s, v in val if s in train and math.isfinite(v) and math.isfinite(train[s])
    ]
    if len(usable) < MIN_POINTS:
        return None
    step, low = min(usable, key=lambda point: point[1])
    after = [v for s, v in usable if s > step]
    if len(after) < max(LASTING_POINTS, LASTING_SHARE * len(usable)):
        return None
    last = statistics.median(after[-LASTING_POINTS:])
    fell = train[step] - train[usable[-1][0]]
    if low <= 0 or last / low - 1 < GENERALIZATION_LOSS or fell <= 0:
        return None
    text = (
        f"From step {step} on val_loss rose by {last / low - 1:.0%} ({number(low)} to "
        f"{number(last)}) while train_loss fell to {number(train[usable[-1][0]])}."
    )
    found = {"best_step": step, "best_val_loss": low, "last_val_loss": last, "train_fell": fell}
    return Finding("overfitting", "info" if case.from_best else "warning", found, text)


def dead(case: Case) -> Finding | None:
    """Many units that are zero or saturated on every example."""
    share = next(iter(case.finite("dead_units")[-1:]), 0.0)
    if share < DEAD_SHARE:
        return None
    text = f"{share:.0%} of the hidden units are zero or saturated on every validation example."
    return Finding("dead-units", "warning", {"dead_units": share}, text)


def _updates(case: Case) -> float | None:
    """The median update ratio of the first half, before a schedule shrinks it."""
    ratios = case.finite("update_ratio")
    # methods with a line search take steps as long as they help
    return (
        statistics.median(ratios[: (len(ratios) + 1) // 2])
        if ratios and not case.is_second_order
        else None
    )


def too_small(case: Case) -> Finding | None:
    """Steps too short for the weights, in a trial that stays behind."""
    ratio, gap = _updates(case), case.gap
    if ratio is None or ratio > UPDATE_LOW or gap is None or gap < WELL_ABOVE:
        return None
    text = f"A step changes the weights by {number(ratio, 2)} of their size; about 0.001 is usual."
    found = {"update_ratio": ratio, "gap": gap}
    return Finding("updates-too-small", "warning", found, text)


def too_large(case: Case) -> Finding | None:
    """Steps too long for the weights."""
    ratio = _updates(case)
    if ratio is None or ratio < UPDATE_HIGH:
        return None
    gap = case.gap
    is_bad = gap is None or gap >= WELL_ABOVE
    text = f"A step changes the weights by {number(ratio, 2)} of their size; about 0.001 is usual."
    found = {"update_ratio": ratio}
    return Finding("updates-too-large", "warning" if is_bad else "info", found, text)


def spikes(case: Case) -> Finding | None:
    """Repeated jumps of the loss."""
    count = next(iter(case.finite("loss_spikes")[-1:]), 0.0)
    if count < SPIKES:
        return None
    text = f"The loss jumped up {count:.0f} times during training."
    return Finding("loss-spikes", "warning", {"loss_spikes": count}, text)
