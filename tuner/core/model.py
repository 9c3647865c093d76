"""The base of all wire values, and the translation of validation errors into plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from tuner.core.names import nearest
from tuner.errors import FieldError, Invalid

M = TypeVar("M", bound=BaseModel)
_SHOWN = 3


class Value(BaseModel):
    """A frozen value that refuses unknown keys, wrong types and numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=False
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = [key for key in data if key not in known]
            if unknown and cls.model_config.get("extra") == "forbid":
                raise PydanticCustomError(
                    "unknown_key", "unknown key {key}", {"key": str(unknown[0]), "known": known}
                )
        return data


def parse(model: type[M], data: Any, path: str = "", error: type[Invalid] = Invalid) -> M:
    """Validate `data` as `model`.

    Args:
        model: The model to build.
        data: Plain JSON data.
        path: Where `data` stands in the input; prefixes all paths in the error.
        error: The class to raise.

    Raises:
        Invalid: (or `error`) with one sentence per mistake: path, found, allowed, nearest name.
    """
    try:
        return model.model_validate(data)
    except ValidationError as problem:
        raise explain(problem, path, error) from None


def explain(problem: ValidationError, path: str = "", error: type[Invalid] = Invalid) -> Invalid:
    """The typed error for a pydantic error, in the project's words."""
    sentences: list[str] = []
    fields: list[FieldError] = []
    for item in problem.errors(include_url=False):
        sentence, field = _mistake(item, path)
        if field not in fields:
            sentences.append(sentence)
            fields.append(field)
    text = " ".join(sentences[:_SHOWN])
    if len(sentences) > _SHOWN:
        text += f" (and {len(sentences) - _SHOWN} more)"
    return error(text, errors=fields)


def join(path: str, *parts: object) -> str:
    """A dotted path: `join("space", "parameters", "lr")`; integers become `[i]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path = f"{path}.{part}" if path else str(part)
    return path


_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "finite_number": "a finite number",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def _mistake(item: ErrorDetails, prefix: str) -> tuple[str, FieldError]:
    """One sentence and one field for one pydantic error."""
    kind = item["type"]
    context = item.get("ctx", {})
    where = join(prefix, *_clean(item["loc"]))
    found = shown(item.get("input"))
    if kind == "unknown_key":
        known = list(context["known"])
        key = context["key"]
        return unknown_key(where, key, known)
    if kind == "field_error":
        at = context.get("at") or ""
        where = f"{where}.{at}" if where and at and at[0] != "[" else where + at
        field = FieldError(
            where, context.get("found"), context.get("allowed"), context.get("nearest")
        )
        return f"{where}: {item['msg']}", field
    if kind == "missing":
        return f"{where} is missing.", FieldError(where, None, "a value")
    if kind in ("literal_error", "enum", "union_tag_invalid", "union_tag_not_found"):
        return _choice(where, found, context)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        allowed = f"{words} {context.get(key)}"
        return f"{where}: found {found}, must be {allowed}.", FieldError(where, found, allowed)
    if kind in _EXPECTED:
        allowed = _EXPECTED[kind]
        return f"{where}: found {found}, expected {allowed}.", FieldError(where, found, allowed)
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message, FieldError(where, found, message)


def unknown_key(where: str, key: str, known: Iterable[str]) -> tuple[str, FieldError]:
    """Sentence and field for a key that does not exist."""
    options = list(known)
    near = nearest(key, options)
    path = join(where, key)
    text = f"{path}: unknown key {key!r}."
    text += f" Did you mean {near!r}?" if near else f" Known: {', '.join(options)}."
    return text, FieldError(path, key, options, near)


def shown(value: Any) -> Any:
    """`value` short enough for an error message."""
    if isinstance(value, str):
        return value if len(value) <= 80 else value[:77] + "..."
    if value is None or isinstance(value, bool | int | float):
        return value
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _choice(where: str, found: Any, context: Mapping[str, Any]) -> tuple[str, FieldError]:
    expected = str(context.get("expected") or context.get("expected_tags") or "")
    options = [part.strip(" '\"") for part in expected.replace(" or ", ", ").split(",") if part]
    tag = context.get("tag", found)
    near = nearest(tag, options) if isinstance(tag, str) else None
    text = f"{where}: found {tag!r}, allowed: {', '.join(options) or 'see the schema'}."
    if near:
        text += f" Did you mean {near!r}?"
    return text, FieldError(where, tag, options or None, near)


def _clean(loc: tuple[int | str, ...]) -> list[int | str]:
    """The location without the tags that pydantic adds for unions and validators."""
    return [
        part
        for part in loc
        if isinstance(part, int) or not (part.startswith(("function-", "tagged-union", "::")))
    ]


def field_error(
    message: str,
    *,
    at: str = "",
    found: Any = None,
    allowed: Any = None,
    nearest: str | None = None,
) -> PydanticCustomError:
    """An error to raise inside a validator; `at` is the path below the validated value."""
    context = {"at": at, "found": found, "allowed": allowed, "nearest": nearest}
    return PydanticCustomError("field_error", message, context)
