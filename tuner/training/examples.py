"""Examples from anywhere, checked, encoded, split and standardised.

What read them gives `Examples`: inputs of any shape and targets as they stand, in up to three
parts. A part that is not given is split off the training examples, the same for every seed; classes
keep their shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch

from tuner.errors import BadData
from tuner.tasks.datasets import Dataset
from tuner.training.datasets import Data

Part = Literal["train", "val", "test"]
Kind = Literal["classification", "regression"]
Array = np.ndarray[Any, Any]
_SPLIT_SEED: Final = 0
_HELD_OUT: Final[tuple[tuple[Part, str], ...]] = (("val", "validation"), ("test", "test"))
# More classes than this, on average with fewer than two examples each, are no classes.
_MANY: Final = 20
_KEY: Final = "trial.task.dataset"


@dataclass(frozen=True)
class Examples:
    """What was read.

    Args:
        name: Where from, for messages.
        x: Inputs of each part, shape (n, …).
        y: Targets of each part, shape (n, …); texts are classes.
        key: The task's key that names them.
        columns: Names of the inputs, for messages.
        relabel: Whether classes are numbered anew from 0; otherwise they must be so.
        title: Name for people.
    """

    name: str
    x: Mapping[Part, torch.Tensor]
    y: Mapping[Part, Any]
    key: str = _KEY
    columns: tuple[str, ...] = ()
    relabel: bool = True
    title: str = ""

    def refuse(self, text: str, hint: str = "") -> BadData:
        """The error that these examples cannot be used."""
        return BadData.at(self.key, f"{self.name}: {text}", found=self.name, hint=hint)


@dataclass(frozen=True)
class Wanted:
    """What a task wants of its examples.

    Args:
        kind: Classes or numbers; None: as the targets are.
        shares: Share of each held-out part where it is not given.
        standardise: `both`, `inputs` or `none`.
        is_free: Whether the targets need fit no built-in loss.
    """

    kind: Kind | None
    shares: Mapping[Part, float]
    standardise: str
    is_free: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], standardise: str) -> Wanted:
        """What a complete task says; `standardise` where it does not."""
        return cls(
            options.get("kind"),
            {part: options[key] for part, key in _HELD_OUT if key in options},
            options.get("standardise", standardise),
            "loss" in options,
        )


def prepare(examples: Examples, wanted: Wanted, device: str = "cpu") -> Data:
    """Check, encode, split and standardise.

    Raises:
        BadData: With the first thing that is wrong, and what to do.
    """
    _check_lengths(examples)
    _check_shapes(examples)
    for part, x in examples.x.items():
        _check_finite(examples, part, x, "x")
    kind, outputs, ys = _encode(examples, wanted)
    xs = {
        part: x.to(torch.float32) if x.is_floating_point() else x for part, x in examples.x.items()
    }
    xs, ys = _split(examples, wanted, kind, xs, ys)
    if wanted.standardise != "none":
        xs = _standardise(xs, per_channel=True)
        if kind == "regression" and wanted.standardise == "both":
            ys = _standardise(ys, per_channel=False)
    shape = tuple(xs["train"].shape[1:])
    spec = Dataset(
        examples.name,
        examples.title or examples.name,
        kind,
        rows=sum(len(x) for x in xs.values()),
        features=math.prod(shape),
        outputs=outputs,
        source=examples.name,
        image=_image(shape),
    )
    parts = {f"{part}_x": x for part, x in xs.items()} | {f"{p}_y": y for p, y in ys.items()}
    return Data(spec, **{name: part.contiguous().to(device) for name, part in parts.items()})


def _image(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(channels, height, width) of an example; a matrix has one channel."""
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    return (1, shape[0], shape[1]) if len(shape) == 2 else None


def _check_lengths(examples: Examples) -> None:
    for part, x in examples.x.items():
        rows = len(examples.y[part])
        if len(x) != rows:
            raise examples.refuse(
                f"x{_of(part)} has {len(x)} examples and y{_of(part)} {rows}; they must be as many."
            )
        if rows == 0:
            raise examples.refuse(f"there are no examples{_of(part, ' in ')}.")


def _check_shapes(examples: Examples) -> None:
    for name, arrays in (("x", examples.x), ("y", examples.y)):
        first = tuple(arrays["train"].shape[1:])
        for part, array in arrays.items():
            if tuple(array.shape[1:]) != first:
                raise examples.refuse(
                    f"an example of {name}{_of(part)} has shape {tuple(array.shape[1:])}, in"
                    f" training {first}; they must be the same."
                )


def _check_finite(examples: Examples, part: Part, values: torch.Tensor, name: str) -> None:
    if not values.is_floating_point():
        return
    wrong = (~torch.isfinite(values.reshape(len(values), -1))).nonzero()
    if not len(wrong):
        return
    row, column = wrong[0].tolist()
    value = values.reshape(len(values), -1)[row, column].item()
    named = examples.columns[column] if name == "x" and examples.columns else None
    where = f", column {named!r}" if named else ""
    count = len(set(wrong[:, 0].tolist()))
    raise examples.refuse(
        f"{name}{_of(part)} is {value} in example {row}{where}"
        f" ({count} example{'s' if count > 1 else ''} in all).",
        "Fill in or drop what is not a finite number first.",
    )


def _encode(examples: Examples, wanted: Wanted) -> tuple[Kind, int, dict[Part, torch.Tensor]]:
    """Kind, number of outputs, and targets as class numbers or float32."""
    ys = {part: _plain(y) for part, y in examples.y.items()}
    dtype = ys["train"].dtype
    is_text = dtype.kind in "OUS"
    kind: Kind = wanted.kind or ("regression" if dtype.kind == "f" else "classification")
    if kind == "regression":
        if is_text:
            raise examples.refuse("the target is text, which is no regression's.")
        numbers = {part: torch.from_numpy(np.array(y, np.float32)) for part, y in ys.items()}
        for part, y in numbers.items():
            _check_finite(examples, part, y, "y")
        shaped = {p: y[:, None] if y.dim() == 1 else y for p, y in numbers.items()}
        return kind, math.prod(shaped["train"].shape[1:]), shaped
    ys = {part: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for part, y in ys.items()}
    known = _distinct(ys.values())
    _check_classes(examples, wanted, known, ys, is_text=is_text)
    if examples.relabel or is_text:
        labels = {part: np.searchsorted(known, y) for part, y in ys.items()}
        outputs = len(known)
    else:
        labels, outputs = ys, int(known[-1]) + 1
    return kind, outputs, {p: torch.from_numpy(np.array(y, np.int64)) for p, y in labels.items()}


def _plain(y: Any) -> Array:
    if isinstance(y, torch.Tensor):
        y = y.detach().cpu().numpy()
    plain = np.asarray(y)
    return plain.astype(str) if plain.dtype.kind in "OSU" else plain


def _distinct(arrays: Iterable[Array]) -> Array:
    """The different values of all arrays, in order."""
    values: Array = np.concatenate([array.reshape(-1) for array in arrays])
    return np.array(sorted(set(values.tolist())), dtype=values.dtype)


def _check_classes(
    examples: Examples,
    wanted: Wanted,
    known: Array,
    ys: Mapping[Part, Array],
    *,
    is_text: bool,
) -> None:
    if not is_text and known.dtype.kind == "f":
        if not np.isfinite(known).all():
            raise examples.refuse("the target has values that are not finite.")
        if (known != np.round(known)).any():
            odd = known[known != np.round(known)][0]
            raise examples.refuse(
                f"a class is a whole number or a text; the target has {odd:g}.",
                "Leave kind out for a regression.",
            )
    if wanted.is_free:
        return
    if len(known) < 2:
        raise examples.refuse(
            f"the target has only one class, {known[0]!s}.", "There is nothing to tell apart."
        )
    if not examples.relabel and not is_text and known[0] < 0:
        raise examples.refuse(f"classes are numbered from 0; the target has {known[0]!s}.")
    rows = sum(len(y) for y in ys.values())
    if wanted.kind is None and len(known) > max(_MANY, rows // 2):
        raise examples.refuse(
            f"the target has {len(known)} different values in {rows} examples.",
            "Give kind: regression if it is a number, not a class.",
        )


def _split(
    examples: Examples,
    wanted: Wanted,
    kind: Kind,
    xs: dict[Part, torch.Tensor],
    ys: dict[Part, torch.Tensor],
) -> tuple[dict[Part, torch.Tensor], dict[Part, torch.Tensor]]:
    """Split off the training examples what is not given and has a share."""
    shares = {part: share for part, share in wanted.shares.items() if part not in xs and share > 0}
    if not shares:
        return xs, ys
    x, y = xs["train"], ys["train"]
    has_classes = kind == "classification" and y.dim() == 1 and not wanted.is_free
    strata = (
        [own for label in range(int(y.max()) + 1) if len(own := (y == label).nonzero()[:, 0])]
        if has_classes
        else [torch.arange(len(y))]
    )
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    rows: dict[Part, list[torch.Tensor]] = {part: [] for part in ("train", *shares)}
    for stratum in strata:
        if len(stratum) < len(shares) + 1:
            what = f"class {_label(examples, y[stratum[0]])} has" if has_classes else "there are"
            raise examples.refuse(
                f"{what} {len(stratum)} example{'s' if len(stratum) > 1 else ''}; at least"
                f" {len(shares) + 1} are needed, one for training and each of {', '.join(shares)}.",
                "Drop the class, or give the parts apart." if has_classes else "",
            )
        left = stratum[torch.randperm(len(stratum), generator=generator)]
        for i, (part, share) in enumerate(shares.items()):
            n = max(1, round(share * len(stratum)))
            n = min(n, len(left) - (len(shares) - i))
            rows[part].append(left[:n])
            left = left[n:]
        rows["train"].append(left)
    order = {part: torch.cat(found).sort().values for part, found in rows.items()}
    xs, ys = dict(xs), dict(ys)
    for part, chosen in order.items():
        xs[part], ys[part] = x[chosen], y[chosen]
    return xs, ys


def _label(examples: Examples, number: torch.Tensor) -> str:
    """A class as the data name it."""
    if not examples.relabel:
        return str(int(number))
    known = _distinct(_plain(y) for y in examples.y.values())
    return repr(known[int(number)].item())


def _standardise(
    parts: Mapping[Part, torch.Tensor], *, per_channel: bool
) -> dict[Part, torch.Tensor]:
    """By mean and deviation of the training examples; constants become 0.

    An image (channels, height, width) by channel, everything else by its last dimension.
    """
    train = parts["train"].to(torch.float64)
    is_image = per_channel and train.dim() == 4
    kept = 1 if is_image else train.dim() - 1
    over = [d for d in range(train.dim()) if d != kept or train.dim() == 1]
    mean = train.mean(over, keepdim=True)
    std = train.std(over, correction=0, keepdim=True)
    scale = torch.where(std > 0, std, torch.ones_like(std))
    return {part: ((x.to(torch.float64) - mean) / scale).float() for part, x in parts.items()}


def _of(part: Part, before: str = "_") -> str:
    return "" if part == "train" else f"{before}{part}"
