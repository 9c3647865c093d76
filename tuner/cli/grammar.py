"""Small grammars of option values: parameters, named options, `key=value`.

A parameter is `NAME=TYPE:PART:PART…`; parts are separated by `:`, lists by `,` (choices) or `|`
(values of `when` and `points`). Quotes keep a separator, and make a value a string.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tuner.core.lifecycle import TrialState
from tuner.core.names import PARAMETER_NAME, nearest
from tuner.errors import Invalid

TYPES: Final = ("float", "int", "categorical", "fixed")
SCALES: Final = ("log", "one_minus_log", "linear")
KEYS: Final = ("step", "default", "points", "when", "low", "high", "scale")
EXAMPLES: Final = """\
dropout=float:0:0.6                   a number from 0 to 0.6
lr=float:1e-5:1e-1:log                on a log scale; also one_minus_log
batch_size=int:16:256:log:default=64  with a default, tried first by model-based samplers
width=int:64:512:step=64              in steps; points=4 or points=64|128|512 for a grid
schedule=categorical:none,cosine      one of; values are typed: 1, true and "1" differ
warmup=float:0:0.3:when=schedule=cosine|linear
epochs=fixed:20                       a constant
adam.lr=1e-5:1e-2                     without a type: overrides an entry of --optimizers"""

_INT: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DIGITS: Final = 20
_QUOTED: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)'", re.DOTALL)


def scalar(text: str) -> bool | int | float | str:
    """A value typed as in YAML 1.2: numbers, true and false; quotes make it a string."""
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        if quoted[1] is not None:
            return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        return quoted[2].replace("''", "'")
    if text.lower() in ("true", "false") and text in (text.lower(), text.title(), text.upper()):
        return text.lower() == "true"
    if _INT.fullmatch(text) and len(text) <= _DIGITS:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def split(text: str, separator: str) -> list[str]:
    """`text` cut at each separator that is not inside quotes."""
    parts: list[str] = []
    start = i = 0
    while i < len(text):
        quoted = _QUOTED.match(text, i) if i == 0 or text[i - 1] in ":=,|&" else None
        if quoted:
            i = quoted.end()
            continue
        if text[i] == separator:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return [*parts, text[start:]]


def parameter(text: str) -> tuple[str, dict[str, Any]]:
    """One `--param`: its name and its entry of the study file.

    Raises:
        Invalid: With what is wrong and an example.
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not PARAMETER_NAME.fullmatch(name):
        raise _wrong(text, "expected NAME=TYPE:…")
    parts = split(rest, ":")
    kind = parts[0].strip()
    if kind in TYPES:
        return name, {"type": kind, **_parts(text, kind, parts[1:])}
    if isinstance(scalar(kind), str) and "=" not in kind:
        near = nearest(kind, TYPES)
        guess = f"did you mean {near!r}?" if near else f"allowed: {', '.join(TYPES)}"
        raise _wrong(text, f"unknown type {kind!r}, {guess}")
    return name, _parts(text, None, parts)


def _parts(text: str, kind: str | None, parts: list[str]) -> dict[str, Any]:
    """The parts after the type as keys of the entry."""
    entry: dict[str, Any] = {}
    positional = {"categorical": ["choices"], "fixed": ["value"]}.get(kind or "", ["low", "high"])
    for part in parts:
        key, equals, value = part.strip().partition("=")
        if equals and key in KEYS:
            _put(text, entry, key, _value(text, key, value))
        elif not equals and key in SCALES and "low" in entry:
            _put(text, entry, "scale", key)
        elif positional:
            key = positional.pop(0)
            _put(text, entry, key, _choices(text, part) if key == "choices" else scalar(part))
        else:
            known = [*SCALES, *(f"{key}=" for key in KEYS)]
            near = nearest(part, known)
            guess = f"did you mean {near!r}?" if near else f"allowed: {', '.join(known)}"
            raise _wrong(text, f"cannot read {part!r}, {guess}")
    missing = [key for key in positional if key not in entry] if kind else []
    if missing:
        raise _wrong(text, f"{' and '.join(missing)} missing")
    return entry


def _choices(text: str, part: str) -> list[Any]:
    items = split(part, ",")
    if not all(map(str.strip, items)):
        raise _wrong(text, 'a choice is empty (an empty text is "")')
    for item in items:
        if item.lstrip()[0] in "\"'" and not _QUOTED.fullmatch(item.strip()):
            raise _wrong(text, f"the quote in {item} is not closed")
    return [scalar(item) for item in items]


def _put(text: str, entry: dict[str, Any], key: str, value: Any) -> None:
    if key in entry:
        raise _wrong(text, f"{key} is given twice")
    entry[key] = value


def _value(text: str, key: str, value: str) -> Any:
    if key == "when":
        return _when(text, value)
    if key == "points":
        points = [scalar(item) for item in split(value, "|")]
        return points[0] if len(points) == 1 else points
    return scalar(value)


def _when(text: str, value: str) -> dict[str, list[Any]]:
    """`parent=v1|v2`; several parents are joined by `&`."""
    conditions: dict[str, list[Any]] = {}
    for condition in split(value, "&"):
        parent, equals, values = condition.partition("=")
        if not equals or not PARAMETER_NAME.fullmatch(parent):
            raise _wrong(text, "a condition is when=PARENT=VALUE|VALUE")
        conditions[parent] = [scalar(item) for item in split(values, "|")]
    return conditions


def _wrong(text: str, why: str) -> Invalid:
    return Invalid(
        f"--param {text!r}: {why}" + ("" if why.endswith("?") else "."),
        hint="For example --param 'dropout=float:0:0.6', --param 'lr=float:1e-5:0.1:log'.",
    )


def named(text: str) -> dict[str, Any]:
    """`NAME[:KEY=VALUE]…`, as in `--sampler gp:seed=7`."""
    name, *options = split(text, ":")
    return {"name": name, **pairs(options, "--sampler and --pruner take NAME:KEY=VALUE")}


def pairs(items: list[str], usage: str) -> dict[str, Any]:
    """`KEY=VALUE` items as typed values.

    Raises:
        Invalid: For an item without `=` or a key given twice; the text ends with `usage`.
    """
    result: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            raise Invalid(f"Cannot read {item!r}: expected KEY=VALUE.", hint=f"{usage}.")
        if key in result:
            raise Invalid(f"{key} is given twice.", hint=f"{usage}.")
        result[key] = scalar(value)
    return result


def states(text: str | None) -> list[str] | None:
    """`complete,pruned` as a list of trial states."""
    if text is None:
        return None
    known = [state.value for state in TrialState]
    chosen = [item.strip() for item in text.split(",") if item.strip()]
    for item in chosen:
        if item not in known:
            near = nearest(item, known)
            guess = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known)}."
            raise Invalid(f"--state: {item!r} is no state of a trial.", hint=guess)
    return chosen
