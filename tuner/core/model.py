"""The base of all wire values, and the translation of validation errors into plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, TypeVar

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

    # keys that are taken and written out as others
    short_forms: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        known += cls.short_forms
        if not isinstance(data, Mapping | cls):
            raise PydanticCustomError("model_type", "expected a mapping", {"known": known})
        if isinstance(data, Mapping):
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
        raise explain(problem, data, path, error) from None


def explain(
    problem: ValidationError, data: Any, path: str = "", error: type[Invalid] = Invalid
) -> Invalid:
    """The typed error for a pydantic error, in the project's words: one sentence per mistake."""
    items = problem.errors(include_url=False)
    places = [_locate(item, data) for item in items]
    # a list that is too short only because its items are wrong is not one more mistake
    wrong = [
        place
        for place in places
        if place.item["type"] != "too_short" or not any(other.is_inside(place) for other in places)
    ]
    sentences: list[str] = []
    fields: list[FieldError] = []
    for _, group in groupby(wrong, key=lambda place: place.union or place.item["loc"]):
        members = list(group)
        deepest = max(len(member.path) for member in members)
        sentence, field = _mistake([m for m in members if len(m.path) == deepest], path)
        if field not in fields:
            sentences.append(sentence)
            fields.append(field)
    text = " ".join(sentences[:_SHOWN])
    if len(sentences) > _SHOWN:
        text += f" (and {len(sentences) - _SHOWN} more)"
    return error(text, errors=fields)


class _Place(NamedTuple):
    """Where in the input a pydantic error stands.

    Attributes:
        item: The error.
        path: The keys and indices that lead there.
        union: The location up to the first tag that pydantic adds for a member of a union.
    """

    item: ErrorDetails
    path: tuple[int | str, ...]
    union: tuple[int | str, ...]

    def is_inside(self, other: _Place) -> bool:
        loc = other.item["loc"]
        return self is not other and self.item["loc"][: len(loc)] == loc


def _locate(item: ErrorDetails, data: Any) -> _Place:
    """Follow the error's location through the input; what leads nowhere is pydantic's own tag."""
    path: list[int | str] = []
    union: tuple[int | str, ...] = ()
    loc = item["loc"]
    for i, part in enumerate(loc):
        is_missing = item["type"] == "missing" and i == len(loc) - 1
        is_index = isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        if is_index or (isinstance(data, Mapping) and part in data):
            data = data[part]
        elif not is_missing:
            union = union or loc[:i]
            continue
        path.append(part)
    return _Place(item, tuple(path), union)


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
    "bool_parsing": "true or false",
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


_LENGTHS = {
    "too_short": ("min_length", "has too few entries, at least {} must be given."),
    "too_long": ("max_length", "has too many entries, at most {} are allowed."),
    "string_too_short": ("min_length", "is too short, at least {} characters are needed."),
    "string_too_long": ("max_length", "is too long, at most {} characters are allowed."),
}


def _mistake(places: Sequence[_Place], prefix: str) -> tuple[str, FieldError]:
    """One sentence and one field for one mistake (several places: what a union would take)."""
    item = places[0].item
    kind = item["type"]
    context = item.get("ctx", {})
    where = join(prefix, *places[0].path)
    found = shown(item.get("input"))
    expected = list(dict.fromkeys(_expected(place.item) for place in places))
    if None not in expected:
        if "a number" in expected and "an integer" in expected:
            expected.remove("an integer")
        *first, last = (str(words) for words in expected)
        allowed = f"{', '.join(first)} or {last}" if first else last
        return f"{where}: found {spelled(found)}, must be {allowed}.", FieldError(
            where, found, allowed
        )
    if kind in ("unknown_key", "field_error"):
        return _own(where, kind, item, context)
    if kind == "missing":
        return f"{where} is missing.", FieldError(where, None, "a value")
    if kind in ("literal_error", "enum", "union_tag_invalid", "union_tag_not_found"):
        return _choice(where, found, context)
    if kind in _LENGTHS:
        key, words = _LENGTHS[kind]
        message = words.format(context.get(key))
        return f"{where}: {message}", FieldError(where, found, message)
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message, FieldError(where, found, message)


def _own(
    where: str, kind: str, item: ErrorDetails, context: Mapping[str, Any]
) -> tuple[str, FieldError]:
    """For the errors that our own validators raise."""
    if kind == "unknown_key":
        return unknown_key(where, context["key"], context["known"])
    at = context.get("at") or ""
    where = f"{where}.{at}" if where and at and at[0] != "[" else where + at
    field = FieldError(where, context.get("found"), context.get("allowed"), context.get("nearest"))
    return f"{where}: {item['msg']}", field


def _expected(item: ErrorDetails) -> str | None:
    """What must stand there, for errors of type and bounds."""
    kind = item["type"]
    if kind == "model_type" and "known" in item.get("ctx", {}):
        return f"a mapping with {', '.join(item['ctx']['known'])}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        limit = item.get("ctx", {}).get(key)
        return f"{words} {limit:g}" if isinstance(limit, float) else f"{words} {limit}"
    return _EXPECTED.get(kind)


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
    if isinstance(value, tuple):
        value = list(value)
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


def spelled(value: Any) -> str:
    """`value` as a message shows it: as JSON where it is plain."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return (
        repr(value) if isinstance(value, str) and value[:1] not in ("[", "{", "(") else str(value)
    )


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
