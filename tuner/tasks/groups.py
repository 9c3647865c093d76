"""Parameter groups: which layers get an optimizer, a learning rate or a decay of their own.

A group is a mapping. It takes the weights that `match` and `type` (both, where both are given)
describe and no earlier group has taken:

    match       a glob over names: of a weight, as `*.bias`, or of a module, as `encoder.*`
    type        a module class, as `LayerNorm`, with all that is in such modules
    name        makes its numbers parameters: `<name>.lr_factor`, `<name>.weight_decay`, …
    optimizer   an optimizer of its own
    lr_factor   times the learning rate
    …           any parameter of its optimizer, by plain name

This module knows no model: whether a group finds layers is in `tuner.tasks.layers` for built-in
ones; for others, and for `type`, it shows when the training starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tuner.core.names import OPTIMIZER, nearest
from tuner.errors import Invalid, UnknownName

GROUPS: Final = "groups"
LR_FACTOR: Final = "lr_factor"
_OWN: Final = ("match", "type", "name", OPTIMIZER, LR_FACTOR)
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
MOST: Final = 64

DOC: Final = (
    "Parameter groups, each a mapping with `match` (glob over names of weights or modules) or "
    "`type` (module class), and `optimizer`, `lr_factor` or any parameter of the optimizer."
)


def check_groups(
    groups: object,
    path: str,
    optimizers: Mapping[str, Iterable[str]] | None = None,
    chosen: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """Refuse groups that no training could use; they come back as plain dictionaries.

    Args:
        groups: As in a task or given to `build_optimizer`.
        path: Where they stand in the input, for errors.
        optimizers: The known optimizers, each with its plain parameter names; None: not checked.
        chosen: Those that trials may choose: a group without an optimizer of its own may set
            what all of them have. None: what some optimizer has.

    Raises:
        UnknownName: For a key or an optimizer that does not exist.
        Invalid: For anything else.
    """
    if not isinstance(groups, Sequence) or isinstance(groups, str):
        raise Invalid.at(path, "expected a list of groups.", found=repr(groups)[:80])
    if len(groups) > MOST:
        raise Invalid.at(path, f"has {len(groups)} groups; at most {MOST}.", found=len(groups))
    seen: set[str] = set()
    checked = []
    for i, group in enumerate(groups):
        at = f"{path}[{i}]"
        if not isinstance(group, Mapping):
            raise Invalid.at(at, "expected a mapping.", found=repr(group)[:80])
        _check_own(group, at, optimizers)
        _check_name(group, at, seen, optimizers)
        _check_values(group, at, _settable(group, optimizers, chosen))
        checked.append(dict(group))
    return checked


def group_parameters(
    groups: Iterable[Mapping[str, Any]], optimizers: Mapping[str, Iterable[str]]
) -> set[str]:
    """The parameters of a trial that named groups read, as `head.lr_factor`.

    Args:
        groups: Checked groups.
        optimizers: The optimizers that trials use, each with its plain parameter names.
    """
    found = set()
    for group in groups:
        users = [group[OPTIMIZER]] if OPTIMIZER in group else list(optimizers)
        own = {name for user in users for name in optimizers.get(user, ())}
        if "name" in group:
            found |= {f"{group['name']}.{name}" for name in (LR_FACTOR, *own)}
    return found


def own_optimizers(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """The optimizers that groups name, without repeats."""
    return list(dict.fromkeys(group[OPTIMIZER] for group in groups if OPTIMIZER in group))


def hyperparameters(group: Mapping[str, Any]) -> dict[str, Any]:
    """What a group sets of its optimizer's parameters."""
    return {key: value for key, value in group.items() if key not in _OWN}


def _check_own(
    group: Mapping[str, Any], at: str, optimizers: Mapping[str, Iterable[str]] | None
) -> None:
    if "match" not in group and "type" not in group:
        for key in group:
            near = None if key in _OWN else nearest(key, ("match", "type"))
            if near:
                raise UnknownName.at(
                    f"{at}.{key}",
                    f"a group has no key {key!r}; did you mean {near!r}?",
                    found=str(key)[:80],
                    allowed=list(_OWN),
                    nearest=near,
                )
        raise Invalid.at(at, "says not which layers it takes; give match or type.")
    for key in ("match", "type", OPTIMIZER):
        if key in group and (not isinstance(group[key], str) or not group[key]):
            raise Invalid.at(
                f"{at}.{key}", f"found {group[key]!r}, expected a text.", found=repr(group[key])
            )
    if OPTIMIZER in group and optimizers is not None and group[OPTIMIZER] not in optimizers:
        near = nearest(group[OPTIMIZER], optimizers)
        raise UnknownName.at(
            f"{at}.{OPTIMIZER}",
            f"no optimizer is named {group[OPTIMIZER]!r}"
            + (f"; did you mean {near!r}?" if near else "."),
            found=group[OPTIMIZER],
            allowed=list(optimizers),
            nearest=near,
        )


def _check_name(
    group: Mapping[str, Any],
    at: str,
    seen: set[str],
    optimizers: Mapping[str, Iterable[str]] | None,
) -> None:
    if "name" not in group:
        return
    name = group["name"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Invalid.at(
            f"{at}.name",
            f"found {name!r}, expected letters, digits, _ and -, a letter first.",
            found=repr(name),
        )
    if name in seen:
        raise Invalid.at(f"{at}.name", f"the group {name!r} is named twice.", found=name)
    if optimizers is not None and name in optimizers:
        raise Invalid.at(
            f"{at}.name",
            f"{name!r} is an optimizer, so {name}.lr would be its learning rate; take another.",
            found=name,
        )
    seen.add(name)


def _settable(
    group: Mapping[str, Any],
    optimizers: Mapping[str, Iterable[str]] | None,
    chosen: Iterable[str] | None,
) -> list[str] | None:
    """The hyperparameters that the group may set; None: not known."""
    if optimizers is None:
        return None
    users = [group[OPTIMIZER]] if OPTIMIZER in group else list(chosen or optimizers)
    names = [list(optimizers[user]) for user in users]
    known = list(dict.fromkeys(name for own in names for name in own))
    if chosen is None:
        return known
    return [name for name in known if all(name in own for own in names)]


def _check_values(group: Mapping[str, Any], at: str, settable: list[str] | None) -> None:
    for key, value in group.items():
        if key in _OWN and key != LR_FACTOR:
            continue
        if key != LR_FACTOR and settable is not None and key not in settable:
            known = [*_OWN, *settable]
            near = nearest(key, known)
            raise UnknownName.at(
                f"{at}.{key}",
                f"a group here has no key {key!r}"
                + (f"; did you mean {near!r}?" if near else f"; known: {', '.join(known)}."),
                found=str(key),
                allowed=known,
                nearest=near,
            )
        if isinstance(value, bool) and key != LR_FACTOR:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid.at(
                f"{at}.{key}", f"found {value!r}, expected a number.", found=repr(value)[:80]
            )
        if not math.isfinite(value) or (key == LR_FACTOR and value < 0):
            raise Invalid.at(
                f"{at}.{key}", f"found {value!r}, expected a finite number.", found=repr(value)
            )
