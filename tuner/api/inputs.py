"""Path, query and header values: declared once, read strictly, documented from the same place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from starlette.requests import Request

from tuner.core.model import unknown_key
from tuner.core.names import STUDY_NAME, nearest, suggestion
from tuner.core.wire import check_plain
from tuner.errors import (
    Invalid,
    StudyNotFound,
    TrialNotFound,
    UnknownName,
    WorkerNotFound,
)

MAX_EVENT: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_EVENT: Final = re.compile(r"[0-9]{1,19}")
_WORKER: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_MAX_QUERY: Final = 64


@dataclass(frozen=True)
class Query:
    """One query parameter.

    Args:
        name: Its key.
        doc: What it does.
        kind: `int`, `text`, `bool` or `choice`.
        default: The value when it is absent.
        low: Smallest integer.
        high: Largest integer, or longest text.
        choices: The values of a choice.
        many: Whether it may be repeated (and hold several, separated by commas).
    """

    name: str
    doc: str
    kind: Literal["int", "text", "bool", "choice"] = "text"
    default: Any = None
    low: int = 0
    high: int = 1000
    choices: tuple[str, ...] = ()
    many: bool = False

    def read(self, texts: list[str]) -> Any:
        """The value of the texts given for it.

        Raises:
            Invalid: With the parameter's name, what was found and what is allowed.
        """
        if not texts:
            return self.default
        if self.many:
            return [self._one(part) for text in texts for part in text.split(",")]
        if len(texts) > 1:
            raise Invalid.at(self.name, "is given twice.", found=texts[1][:80])
        return self._one(texts[0])

    def _one(self, text: str) -> Any:
        if self.kind == "int":
            return self._int(text)
        if self.kind == "bool":
            if text not in _BOOLEANS:
                raise Invalid.at(
                    self.name, "expected true or false.", found=text[:80], allowed=list(_BOOLEANS)
                )
            return _BOOLEANS[text]
        if self.kind == "choice" and text not in self.choices:
            near = nearest(text[:80], self.choices)
            raise UnknownName.at(
                self.name,
                f"found {text[:80]!r}, allowed: {', '.join(self.choices)}." + suggestion(near),
                found=text[:80],
                allowed=list(self.choices),
                nearest=near,
            )
        if len(text) > self.high:
            raise Invalid.at(
                self.name, f"is longer than {self.high} characters.", found=f"{text[:80]}…"
            )
        return text

    def _int(self, text: str) -> int:
        allowed = f"an integer from {self.low} to {self.high}"
        if not _EVENT.fullmatch(text) or not self.low <= int(text) <= self.high:
            raise Invalid.at(self.name, f"expected {allowed}.", found=text[:80], allowed=allowed)
        return int(text)

    def document(self) -> dict[str, Any]:
        """The OpenAPI parameter object."""
        forms: dict[str, dict[str, Any]] = {
            "int": {"type": "integer", "minimum": self.low, "maximum": self.high},
            "bool": {"type": "boolean"},
            "choice": {"type": "string", "enum": list(self.choices)},
            "text": {"type": "string", "maxLength": self.high},
        }
        schema = forms[self.kind]
        if self.many:
            schema = {"type": "array", "items": schema}
        if self.default is not None:
            schema["default"] = self.default
        return {
            "name": self.name,
            "in": "query",
            "required": False,
            "description": self.doc,
            "schema": schema,
        }


LIMIT: Final = Query("limit", "How many items at most.", "int", 100, 1, 1000)
CURSOR: Final = Query("cursor", "The `next_cursor` of the page before.")


def query(request: Request, *declared: Query) -> dict[str, Any]:
    """The declared query parameters, by name.

    Raises:
        UnknownName: For a key that is not declared, with the nearest one.
        Invalid: For a value that is not allowed, or text that is not UTF-8.
    """
    raw: bytes = request.scope["query_string"]
    given: dict[str, list[str]] = {}
    if raw:
        known = [item.name for item in declared]
        for key, value in _pairs(raw):
            if key not in known:
                text, field = unknown_key("", key[:80], known)
                raise UnknownName(text.replace("key", "query parameter"), errors=[field])
            given.setdefault(key, []).append(value)
    return {item.name: item.read(given.get(item.name, [])) for item in declared}


def no_query(request: Request) -> None:
    """Refuse any query parameter.

    Raises:
        UnknownName: Naming the first.
    """
    for key, _ in _pairs(request.scope["query_string"]):
        text = f"{request.url.path} takes no query parameters."
        raise UnknownName.at(key[:80], text, found=key[:80], hint="Leave it out.")


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_QUERY,
        )
    except ValueError as error:
        raise Invalid("The query is not percent-encoded UTF-8.") from error
    check_plain({"query": [list(pair) for pair in pairs]})
    return pairs


def study_name(request: Request) -> str:
    """The study's name in the path.

    Raises:
        StudyNotFound: If it is no study name at all, so that none can have it.
    """
    return check_study_name(str(request.path_params["name"]))


def check_study_name(name: str) -> str:
    """The name, if it is one that a study can have.

    Raises:
        StudyNotFound: If it is not.
    """
    if not STUDY_NAME.fullmatch(name):
        raise StudyNotFound(
            f"There is no study {name[:140]!r}.", hint="`tuner study list` shows all."
        )
    return name


def trial_number(request: Request) -> int:
    """The trial's number in the path.

    Raises:
        TrialNotFound: If it is no number a trial can have.
    """
    text = str(request.path_params["number"])
    if not _NUMBER.fullmatch(text):
        raise TrialNotFound(f"There is no trial {text[:40]!r}; trials are numbered 0, 1, 2, …")
    return int(text)


def worker_id(request: Request) -> str:
    """The worker's id in the path.

    Raises:
        WorkerNotFound: If it is no id a worker can have.
    """
    text = str(request.path_params["id"])
    if not _WORKER.fullmatch(text):
        raise WorkerNotFound(f"There is no worker {text[:80]!r}.", hint="Register again.")
    return text


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header, or None.

    Raises:
        Invalid: If it is given twice or is not 1 to 255 visible ASCII characters.
    """
    return _header(request, "idempotency-key", _KEY, "1 to 255 visible ASCII characters")


def last_event_id(request: Request) -> int | None:
    """The `Last-Event-ID` header, or None."""
    text = _header(request, "last-event-id", _EVENT, "the id of an event")
    if text is None:
        return None
    if int(text) > MAX_EVENT:
        raise Invalid.at("Last-Event-ID", "is beyond every event.", found=text)
    return int(text)


def _header(request: Request, name: str, form: re.Pattern[str], allowed: str) -> str | None:
    values = request.headers.getlist(name)
    if not values:
        return None
    if len(values) > 1 or not form.fullmatch(values[0]):
        shown = values[0][:80].encode("ascii", "backslashreplace").decode("ascii")
        title = "-".join({"id": "ID"}.get(part, part.capitalize()) for part in name.split("-"))
        raise Invalid.at(title, f"expected {allowed}, once.", found=shown, allowed=allowed)
    return values[0]
