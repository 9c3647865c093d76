"""The comparison in sentences and tables, for HTML and Markdown alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tuner.analysis.blocks import Block, Bullets, Chart, Code, Section, Sheet, Text
from tuner.analysis.comparison import tables
from tuner.analysis.wording import number, pairs

Json = Mapping[str, Any]
_BY: Final = {
    "seconds": "seconds of training",
    "evaluations": "evaluations of the loss",
    "steps": "optimizer steps",
    "epochs": "reported steps",
}


def sections(comparison: Json, prefix: str = "") -> list[Section]:
    """The sections of one comparison.

    Args:
        comparison: What `build.compare` gives.
        prefix: Put before the names of sections and figures, where a page has several.
    """
    parts: list[tuple[str, str, Callable[[Json, str], Sequence[Block]]]] = [
        ("recommendation", "Which optimizer", _recommendation),
        ("confirmed", "Confirmed on fresh seeds", _confirmed),
        ("budget", "Expected best against tuning budget", _budget),
        ("convergence", "Convergence speed", _convergence),
        ("stability", "Stability", _stability),
        ("generalisation", "Generalisation", _generalisation),
        ("tunability", "Tunability", _tunability),
        ("inclusions", "Inclusion check", _inclusions),
    ]
    made = [Section(prefix + key, title, make(comparison, prefix)) for key, title, make in parts]
    return [part for part in made if part.blocks]


def verdict(comparison: Json) -> str:
    """The result of a comparison in one or two sentences."""
    found = comparison["recommendation"]
    if found is None:
        return "No optimizer has a result yet."
    apart = comparison["significance"]
    if not found["confirmed"]:
        return (
            f"{found['leader']} has the best single trial, which no fresh seed has confirmed; "
            "this decides nothing."
        )
    place = next(row for row in apart["optimizers"] if row["optimizer"] == found["leader"])
    text = (
        f"{found['leader']} leads with a confirmed median {comparison['metric']} of "
        f"{number(place['median'])} over {_seeds(place['seeds'])}."
    )
    others = [row for row in apart["optimizers"] if row is not place]
    close = [row["optimizer"] for row in others if row["p"] > apart["level"]]
    doubtful = [row["optimizer"] for row in others if row["p"] <= apart["level"] < row["p_holm"]]
    least = apart["smallest_p"]
    if least is not None and least > apart["level"]:
        text += f" Too few seeds to tell any other from it: {', '.join(close)}."
    elif close:
        text += f" Not distinguishable from the leader: {', '.join(close)}."
    if doubtful:
        text += (
            f" Worse by a test that does not count how many were compared, and not shown to be "
            f"worse by one that does: {', '.join(doubtful)}."
        )
    if others and not close and not doubtful:
        confirmed = (
            " confirmed" if len(comparison["optimizers"]) > len(apart["optimizers"]) else ""
        )
        text += f" Every other{confirmed} optimizer is distinguishably worse."
    return text


def _recommendation(comparison: Json, prefix: str) -> list[Block]:
    del prefix
    found = comparison["recommendation"]
    if found is None:
        return [Text(verdict(comparison), is_lead=True)]
    chosen = found["optimizer"]
    text = f"Use {chosen} with the parameters of trial #{found['setting']}."
    if found["cheapest"] is not None and len(found["close"]) > 1:
        text = (
            "Of the leader and those not distinguishable from it whose median lies within the range "
            f"of its seeds, none reaches the target sooner than {chosen}, counted in "
            f"{_BY[found['cheapest_by']]}. {text}"
        )
    blocks: list[Block] = [
        Text(verdict(comparison), is_lead=True),
        Text(text),
        Text(f"Its parameters: {pairs(found['params'])}."),
        Code(found["tuner_code"], "With tuner; model and total_steps are yours"),
    ]
    if found["torch_code"]:
        note = f" ({found['why']})" if found["why"] else ""
        blocks.append(Code(found["torch_code"], f"With PyTorch alone{note}"))
    elif found["why"]:
        blocks.append(Text(f"There is no form with PyTorch alone: {found['why']}."))
    if comparison["notes"]:
        blocks.append(Bullets(comparison["notes"]))
    return blocks


def _confirmed(comparison: Json, prefix: str) -> list[Block]:
    apart = comparison["significance"]
    if not apart["optimizers"]:
        return [
            Text(
                "No setting was trained again on fresh seeds, so nothing here is confirmed; "
                "tuner study confirm does it."
            )
        ]
    how = (
        f"Each mark is one fresh seed of an optimizer's chosen setting, the bar its median "
        f"{comparison['metric']}; the optimizers are in order of that median."
    )
    blocks: list[Block] = [
        Chart(f"{prefix}confirmed", how, tables.runs(comparison)),
        Sheet(tables.confirmed(comparison), "Confirmed values, best median first", is_wide=True),
    ]
    return [*blocks, Text(significance_text(apart))] if apart["comparisons"] else blocks


def significance_text(apart: Json) -> str:
    """How the differences were judged, and what these seeds can show at all."""
    text = (
        f"Differences to the leader: two-sided permutation tests of the rank sum, "
        f"{apart['comparisons']} of them, corrected by Holm; intervals of the difference of medians "
        f"are 95 % percentile bootstraps. With {_seeds(apart['seeds'])} no p can be below "
        f"{number(apart['smallest_p'], 2)}, and after the correction none below "
        f"{number(apart['smallest_adjusted'], 2)}."
    )
    if apart["smallest_adjusted"] > apart["level"]:
        needed = apart["seeds_needed"]
        text += (
            f" So nothing could be told apart at {apart['level']:.0%} here, however large the "
            "difference"
            + (f": {needed} seeds or more are needed." if needed else "; compare fewer.")
        )
    return text + (
        " The leader was chosen by the same values, which makes its lead look a little larger "
        "than it is."
    )


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def _budget(comparison: Json, prefix: str) -> list[Block]:
    data = comparison["budget"]
    if not data["curves"]:
        return []
    metric = comparison["metric"]
    resamples = sorted({curve["resamples"] for curve in data["curves"]})
    first = (
        f"Read upwards from a number of trials: the {metric} that the best of so many would have "
        f"on average, if the search trials had come in random order; bands are "
        f"{data['level']:.0%} percentile bootstraps of {' or '.join(map(str, resamples))} resamples."
    )
    caution = (
        "The estimator (Dodge et al. 2019) takes the trials for independent draws. That holds "
        "about for the quasi-random ones; those chosen by a model depend on all before, so the "
        "curve sums up these trials and does not predict another search, and the line of what "
        f"happened stands beside it. Diverged, failed and far worse trials "
        f"({data['counted_as_worst']} in all) count as {metric} {number(data['worst'])}."
    )
    blocks: list[Block] = [
        Chart(f"{prefix}budget", first, tables.budget(comparison)),
        Chart(
            f"{prefix}happened",
            "The best so far after each of an optimizer's trials, in the order in which the "
            "sampler made them.",
            tables.happened(comparison),
        ),
    ]
    if any(curve["seconds"] for curve in data["curves"]):
        blocks.append(
            Chart(
                f"{prefix}budget_seconds",
                "The first chart over training time: n trials stand at n times the optimizer's "
                "mean training seconds of a trial, as trials report them, else from start to end.",
                tables.budget_seconds(comparison),
            )
        )
    return [*blocks, Text(caution)]


def _convergence(comparison: Json, prefix: str) -> list[Block]:
    data = comparison["convergence"]
    if not any(row["runs"] for row in data["optimizers"]):
        return []
    source = {
        "given": "the study's target",
        "median": "the median over optimizers of their confirmed medians, as the study gives no "
        "target",
    }.get(data["source"], "")
    blocks: list[Block] = []
    if data["progress"]:
        blocks.append(
            Chart(
                f"{prefix}progress",
                f"The median over seeds of the best {comparison['metric']} so far, against the "
                "seconds trained, or the reported step where no seconds are reported; the dotted "
                "line is the target.",
                tables.progress(comparison),
            )
        )
    if data["target"] is None:
        return [*blocks, Text("There is no target, as no confirmed median is finite.")]
    text = (
        f"Target: {comparison['metric']} {number(data['target'])}, {source}. A run reaches it at "
        "its first report that is as good; nothing is interpolated between reports. Medians are "
        "over all runs, those that never reach it counting as later than any (“> all”). Steps and "
        "evaluations are per batch and compare only between equal batch sizes; seconds depend on "
        "the machine."
    )
    return [
        *blocks,
        Sheet(tables.convergence(comparison), "Time to target on the confirmation runs"),
        Text(text),
    ]


def _stability(comparison: Json, prefix: str) -> list[Block]:
    del prefix
    if not comparison["stability"]:
        return []
    text = (
        "“Within 10 %” is the share of search trials at most a tenth of the best value worse than "
        "it. “Near the best rate” takes the other search trials with a learning rate within half "
        "a decade of the chosen setting's; they differ in every other parameter too, so it says "
        "how forgiving the neighbourhood is, and rests on the number of trials beside it."
    )
    return [
        Sheet(tables.stability(comparison), "In the search, and over fresh seeds", is_wide=True),
        Text(text),
    ]


def _generalisation(comparison: Json, prefix: str) -> list[Block]:
    del prefix
    data = comparison["generalisation"]
    if not data["families"]:
        return []
    text = (
        "All values are medians over the confirmation runs, at each run's step of least validation "
        "loss. Training values are means over the epoch, each batch measured before the step that "
        "it leads to, and with dropout: validation comes after all of them, so a small gap may be "
        "negative, and early epochs of an optimizer that takes few, big steps show a large one. "
    )
    lagging = [row["optimizer"] for row in data["optimizers"] if row["lags"]]
    if lagging:
        text += (
            f"No gap is given for {', '.join(lagging)}: with the whole training set as one batch "
            "there is one step an epoch, and training values lag behind validation by it. "
        )
    text += (
        "The test set was touched once, by these runs; no choice was made by it."
        if data["has_test"]
        else "There is no test score: the runs reported none."
    )
    sheets = [
        Sheet(tables.generalisation(comparison, family), f"{family.capitalize()} of the runs")
        for family in data["families"]
    ]
    return [*sheets, Text(text)]


def _tunability(comparison: Json, prefix: str) -> list[Block]:
    del prefix
    data = comparison["tunability"]
    if not comparison["budget"]["curves"]:
        return []
    text = (
        "Gain: how much better than the default setting, tried first, the best search trial is "
        "(flattered by luck) and the confirmed median is. The mean expected best over 1 to "
        f"{data['common']} trials is the area under the first chart's curve (Sivaprasad et al. "
        "2020, uniform weights): it rewards an optimizer that is good after few trials."
    )
    return [Sheet(tables.tunability(comparison), "What tuning gained"), Text(text)]


def _inclusions(comparison: Json, prefix: str) -> list[Block]:
    del prefix
    rows = comparison["inclusions"]
    if not rows:
        return []
    doubts = [
        f"{row['special']} beat {row['general']}, which contains it: {row['general']} is "
        f"under-tuned here{_narrower(row)}. Give it more trials before believing this order."
        for row in rows
        if row["verdict"] == "under-tuned"
    ]
    blocks: list[Block] = [
        Sheet(tables.inclusions(comparison), "Methods that contain another one compared here"),
        Text(
            "A general method, tuned enough over ranges that hold the setting of its special case "
            "(its learning rate at the scale of the inclusion, its weight decay and what else both "
            "have), is never worse than it (Choi et al. 2019). “Noise”: the seeds do not part the "
            "two. “Range”: its ranges here do not hold that setting, so it may well be worse."
        ),
    ]
    return [*blocks, Bullets(doubts)] if doubts else blocks


def _narrower(row: Json) -> str:
    """That the special method searched a wider range, in which its setting did not need to lie."""
    if not row["beyond"]:
        return ""
    return (
        f", although it could not have been all that {row['special']} was searched over "
        f"({'; '.join(row['beyond'])}): it could have been the setting that beat it"
    )
