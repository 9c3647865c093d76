"""Responses: JSON exactly as the study manager gives it, documents, and nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from tuner.core.wire import dumps

if TYPE_CHECKING:
    from tuner.service.documents import Document
    from tuner.service.idempotency import Answer

JSON: Final = "application/json"
# A report is a page made of users' names: it may run its own charts, but in an origin of its own.
_SANDBOX: Final = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline';"
    " style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def ok(data: Any, status: int = 200) -> Response:
    """`data` as JSON."""
    return Response(dumps(data).encode("utf-8"), status, media_type=JSON)


def answered(answer: Answer) -> Response:
    """A first or repeated answer with its own status."""
    return ok(answer.body, answer.status)


def items(values: list[Any]) -> Response:
    """A whole list in the form of a page."""
    return ok({"items": values, "next_cursor": None})


def nothing() -> Response:
    """204."""
    return Response(status_code=204)


def document(value: Document, file_name: str | None = None) -> Response:
    """A rendered report or export.

    Args:
        value: Content and its type.
        file_name: The name to save it under; None: it is shown.
    """
    headers = {"Cache-Control": "no-store"}
    if file_name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    elif value.content_type.startswith("text/html"):
        headers["Content-Security-Policy"] = _SANDBOX
    body = value.body.encode("utf-8") if isinstance(value.body, str) else value.body
    response = Response(body, headers=headers)
    response.headers["Content-Type"] = value.content_type
    return response
