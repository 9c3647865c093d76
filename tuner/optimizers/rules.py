"""What speaks for and against an optimizer in a situation: data, each line with its source.

Points are our judgement throughout: 4 speaks for it strongly, 1 weakly, negative ones against it.
A rule without a published source says `ours`. None rules an optimizer out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tuner.optimizers.situation import RECURRENT, Situation
from tuner.optimizers.sources import ALGOPERF, CHEN, FORET, JORDAN, MARTENS, NOCEDAL, YOU

OURS: Final = "ours"
SIVAPRASAD: Final = "Sivaprasad et al. 2020 (arXiv:1910.11758)"
SCHMIDT: Final = "Schmidt et al. 2021 (Descending through a Crowded Valley)"
CHOI: Final = "Choi et al. 2019 (arXiv:1910.05446)"
WILSON: Final = "Wilson et al. 2017 (arXiv:1705.08292)"
ZHANG: Final = "Zhang et al. 2020 (arXiv:1912.03194)"
SUTSKEVER: Final = "Sutskever et al. 2013 (On the importance of initialization and momentum)"
SHAZEER: Final = "Shazeer and Stern 2018 (arXiv:1804.04235)"
ANCHORS: Final = "AlgoPerf target_setting_algorithms"
PASCANU: Final = "Pascanu et al. 2013 (arXiv:1211.5063)"
PLAYBOOK: Final = "Deep Learning Tuning Playbook"
DUCHI: Final = "Duchi, Hazan and Singer 2011 (JMLR 12)"
LE: Final = "Le et al. 2011 (On optimization methods for deep learning)"
TIELEMAN: Final = "Tieleman and Hinton 2012 (Coursera lecture 6.5)"

# Full-batch curvature methods: so few examples that the whole set is one batch, so few weights that
# vectors of history are cheap; both ours.
SMALL_DATA: Final = 20_000
SMALL_MODEL: Final = 1e6
# You et al. 2020 scale BERT's batch from 512 to 32 768.
LARGE_BATCH: Final = 4096
# Beyond, two floats of state a weight fill a device (2.4 GB at 3e8 in float32); ours.
LARGE_MODEL: Final = 3e8
LITTLE_BUDGET: Final = 10
LARGE_BUDGET: Final = 60


@dataclass(frozen=True)
class Rule:
    """One reason for or against an optimizer.

    Args:
        optimizer: Name in the registry.
        points: How much it speaks for it; None: it is left out.
        text: The reason, in one sentence.
        source: A publication, or `OURS`.
        models: Architectures it holds for; empty: all.
        when: What else must hold.
    """

    optimizer: str
    points: int | None
    text: str
    source: str
    models: frozenset[str] = frozenset()
    when: Callable[[Situation], bool] | None = None

    @property
    def condition(self) -> str:
        """What must hold beside the architecture, in words; empty if nothing."""
        return (self.when.__doc__ or "").strip().rstrip(".") if self.when else ""

    def speaks_for(self, optimizer: str, model: str) -> bool:
        """Whether it is a reason for an optimizer on this architecture, where it applies."""
        return self.optimizer == optimizer and (self.points or 0) > 0 and model in self.models

    def holds(self, situation: Situation) -> bool:
        """Whether the rule speaks about this situation."""
        of_model = not self.models or situation.model in self.models
        return of_model and (self.when is None or self.when(situation))


def _few(s: Situation) -> bool:
    """At most 20 000 examples, or the whole set asked for; at most a million weights."""
    few = s.examples is not None and s.examples <= SMALL_DATA
    return (few or s.is_full_batch) and s.weights <= SMALL_MODEL


def _not_few(s: Situation) -> bool:
    """More examples or more weights than that."""
    return not _few(s)


def _not_whole(s: Situation) -> bool:
    """More examples or more weights than that, and mini-batches."""
    return not _few(s) and not s.is_full_batch


def _many(s: Situation) -> bool:
    """Mini-batches of more than 20 000 examples, or of unknown many."""
    return not s.is_full_batch and (s.examples is None or s.examples > SMALL_DATA)


def _full(s: Situation) -> bool:
    """The whole training set as one batch."""
    return s.is_full_batch


def _mini(s: Situation) -> bool:
    """Mini-batches."""
    return not s.is_full_batch


def _large_batch(s: Situation) -> bool:
    """Mini-batches of at least 4096 examples."""
    return not s.is_full_batch and (s.batch or 0) >= LARGE_BATCH


def _big(s: Situation) -> bool:
    """At least 300 million weights."""
    return s.weights >= LARGE_MODEL


def _little(s: Situation) -> bool:
    """Fewer than 10 trials."""
    return s.trials is not None and s.trials < LITTLE_BUDGET


def _generous(s: Situation) -> bool:
    """At least 60 trials."""
    return s.trials is not None and s.trials >= LARGE_BUDGET


_CNN: Final = frozenset({"cnn"})
_TRANSFORMER: Final = frozenset({"transformer"})
_LINEAR: Final = frozenset({"linear"})
_AUTO: Final = frozenset({"autoencoder"})
_MLP: Final = frozenset({"mlp", "other"})
_PLAIN: Final = frozenset({"mlp", "autoencoder", "other"})

_HAS_LOSS_STATE: Final = "needs the whole training set as one batch"
RULES: Final = (
    # any architecture
    Rule("adamw", 3, "Adam's kin stay strong over many problems", SCHMIDT),
    Rule("adam", 2, "is the most practical choice at a small tuning budget", SIVAPRASAD),
    Rule("adam", 2, "few trials: its default rate works most widely", SIVAPRASAD, when=_little),
    Rule("nesterov", 2, "the simplest strong baseline; tuned Adam must not lose to it", CHOI),
    # convolutions
    Rule("nesterov", 4, "sets AlgoPerf's target for ResNet-50 on ImageNet", ANCHORS, _CNN),
    Rule("momentum", 3, "generalised better than adaptive methods on image models", WILSON, _CNN),
    Rule("adamw", 1, "matches it on images when decay and epsilon are tuned too", CHOI, _CNN),
    Rule(
        "sam",
        2,
        "flat minima generalise better on images; a step costs two gradients",
        FORET,
        _CNN,
        _generous,
    ),
    # sequences
    Rule(
        "adam",
        4,
        "the usual choice for recurrent networks: scales each weight's step",
        OURS,
        RECURRENT,
    ),
    Rule(
        "rmsprop",
        3,
        "made for noisy mini-batch gradients; one moment less than Adam",
        TIELEMAN,
        RECURRENT,
    ),
    Rule("momentum", 1, "with clipping it trains recurrent networks too", PASCANU, RECURRENT),
    Rule("adamw", 4, "sets AlgoPerf's targets for Transformers (WMT, ViT)", ANCHORS, _TRANSFORMER),
    Rule(
        "adamw", 2, "adaptive steps suit attention's heavy-tailed gradients", ZHANG, _TRANSFORMER
    ),
    Rule("nadamw", 4, "AlgoPerf's external-tuning baseline", ALGOPERF, _TRANSFORMER),
    Rule("lion", 3, "as good as AdamW on Transformers, half its state", CHEN, _TRANSFORMER),
    Rule(
        "muon",
        4,
        "fast on hidden matrices, which are most of a Transformer; AdamW on the rest",
        JORDAN,
        _TRANSFORMER,
    ),
    Rule("nesterov", -2, "plain gradient steps lag on attention", ZHANG, _TRANSFORMER),
    # multilayer perceptrons and the like
    Rule("nadam", 1, "Nesterov's look-ahead inside Adam, at the same cost", OURS, _MLP),
    Rule("rmsprop", 1, "an adaptive baseline without momentum", OURS, _PLAIN),
    Rule("momentum", 2, "with a good start, momentum trains deep autoencoders", SUTSKEVER, _AUTO),
    Rule(
        "nesterov", 2, "the best first-order method there on deep autoencoders", SUTSKEVER, _AUTO
    ),
    Rule(
        "newton_cg", 3, "Hessian-free steps were made for deep autoencoders", MARTENS, _AUTO, _few
    ),
    # linear models
    Rule(
        "lbfgs",
        8,
        "the loss is convex and smooth: a few dozen iterations reach the optimum",
        NOCEDAL,
        _LINEAR,
        _few,
    ),
    Rule(
        "newton_cg",
        6,
        "converges quadratically near the optimum of a convex loss",
        NOCEDAL,
        _LINEAR,
        _few,
    ),
    Rule("adagrad", 2, "rates per weight suit sparse and unscaled features", DUCHI, _LINEAR),
    Rule(
        "sgd", 3, "no state, and enough for a convex loss on many examples", OURS, _LINEAR, _many
    ),
    # small problems, whole batches
    Rule(
        "lbfgs",
        5,
        "small and smooth: curvature from the whole set beats noise",
        LE,
        _PLAIN,
        _full,
    ),
    Rule("lbfgs", 3, "few examples and weights: the whole set fits one batch", LE, _PLAIN, _few),
    Rule(
        "newton_cg",
        3,
        "uses curvature exactly where a whole batch is cheap",
        NOCEDAL,
        _PLAIN,
        _full,
    ),
    Rule("gd", 1, "the baseline that curvature methods must beat", OURS, when=_full),
    # large batches and large models
    Rule("lamb", 5, "keeps layers in step at large batches", YOU, when=_large_batch),
    Rule(
        "nesterov",
        1,
        "with warm-up it scales to large batches on images",
        ALGOPERF,
        _CNN,
        _large_batch,
    ),
    Rule("adamw", -3, "keeps two moments of every weight", OURS, when=_big),
    Rule("nadamw", -3, "keeps two moments of every weight", OURS, when=_big),
    Rule("adam", -3, "keeps two moments of every weight", OURS, when=_big),
    Rule("adafactor", 5, "keeps rows and columns instead of a second moment", SHAZEER, when=_big),
    Rule("lion", 3, "one moment only: half of Adam's state", CHEN, when=_big),
    Rule("muon", 1, "one moment only for hidden matrices", JORDAN, _TRANSFORMER, _big),
    # what does not go
    Rule(
        "lbfgs",
        None,
        f"{_HAS_LOSS_STATE}; this one is too large for that",
        OURS,
        when=_not_whole,
    ),
    Rule(
        "newton_cg",
        None,
        f"{_HAS_LOSS_STATE}; this one is too large for that",
        OURS,
        when=_not_few,
    ),
    Rule("gd", None, "one step an epoch is too few on mini-batch problems", OURS, when=_mini),
    Rule("sam", None, "two gradients a step, and no published gain here", OURS, _LINEAR),
)
