"""JSON as it travels: strict in, exact out.

Python's `json` takes `NaN`, overflows `1e999` to infinity, keeps the last of duplicate keys and
passes lone surrogates and NUL. Each of these would be lost or refused later by one database and
not by the other, so all are refused at the door. Metric values that are not finite travel as the
strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from tuner.errors import Invalid

MAX_DEPTH: Final = 64
MAX_INT: Final = 2**63 - 1
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def loads(text: bytes | str) -> Any:
    """Parse JSON strictly.

    Raises:
        Invalid: For text that is not UTF-8 JSON, duplicate keys, NaN and infinities, numbers out
            of range, NUL or lone surrogates in strings, and nesting deeper than `MAX_DEPTH`.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = _DECODER.decode(decoded)
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8 (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise Invalid(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise Invalid(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    check_plain(value)
    return value


def dumps(value: Any) -> str:
    """Compact JSON text with keys in the given order; refuses non-finite numbers."""
    return _ENCODER.encode(value)


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when the values are equal (keys sorted)."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )


def check_plain(value: Any, path: str = "") -> None:
    """Refuse what JSON, SQLite and PostgreSQL cannot all keep exactly.

    Raises:
        Invalid: Naming the path of the first such value.
    """
    stack: list[tuple[str, Any, int]] = [(path, value, 0)]
    while stack:
        where, item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise Invalid.at(where, f"is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(item, dict):
            for key, child in item.items():
                if not isinstance(key, str):
                    raise Invalid.at(
                        where, f"has the key {key!r}, keys are strings.", found=str(key)
                    )
                _check_text(where, key)
                stack.append((f"{where}.{key}" if where else key, child, depth + 1))
        elif isinstance(item, list | tuple):
            stack.extend((f"{where}[{i}]", child, depth + 1) for i, child in enumerate(item))
        else:
            _check_scalar(where, item)


def encode_metric(value: float | None) -> float | str:
    """A metric value for JSON; NaN is kept as NULL (None) in SQL."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def decode_metric(value: Any) -> float | None:
    """The float of a metric value from JSON, or None if it is not one (booleans are not)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        return _NON_FINITE.get(value)
    return None


def is_rounded(value: object) -> bool:
    """Whether `value` is an integer that a metric, which is a float, cannot hold exactly."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    number = decode_metric(value)
    return number is not None and number != value


def _check_scalar(where: str, item: Any) -> None:
    if isinstance(item, str):
        _check_text(where, item)
    elif isinstance(item, float) and not math.isfinite(item):
        raise Invalid.at(where, f"{item} is not a finite number.", found=str(item))
    elif isinstance(item, int) and abs(item) > MAX_INT:
        raise Invalid.at(where, "is an integer beyond 64 bits.", found=f"{len(str(item))} digits")
    elif item is not None and not isinstance(item, bool | int | float):
        raise Invalid.at(where, f"is a {type(item).__name__}, which JSON has no form for.")


def _check_text(where: str, text: str) -> None:
    if "\x00" in text:
        raise Invalid.at(
            where, "text may not contain NUL.", found=text.replace("\x00", "\\0")[:80]
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
        raise Invalid.at(where, "text has a lone surrogate.", found=clean[:80]) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise Invalid.at(key, "is given twice in one object.", found=key)
        result[key] = value
    return result


def _refuse_constant(text: str) -> float:
    raise Invalid(
        f"{text} is not JSON.",
        hint='Metric values that are not finite are the strings "NaN", "Infinity", "-Infinity".',
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid(f"The number {text[:40]} is out of range.")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20:
        raise Invalid(f"The integer of {len(text)} digits is out of range (64 bits).")
    return int(text)


# Built once: building them is most of the cost of a small message.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=_bounded,
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
