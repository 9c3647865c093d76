"""Every error that tuner raises, with its code on the wire, HTTP status and exit code.

    TunerError
      Invalid 422              InvalidSpace  InvalidParameter  InvalidMetric  UnknownName
                               NotAvailable  IdempotencyMismatch
      Unauthorized 401         Forbidden 403
      NotFound 404             StudyNotFound  TrialNotFound  WorkerNotFound  NoResultYet
      Conflict 409             StudyExists  TrialFinished  LeaseLost  AlreadyReported
                               AlreadyTold  BudgetSpent  StoreOwned
      Unavailable 503          DatabaseUnavailable  SchemaOutdated  ServerUnreachable
      WorkerError 500          ObjectiveNotFound  ObjectiveFailed  BadData
    TrialStopped (BaseException, a signal)

An error crosses process and machine boundaries unchanged: it pickles, and
`to_problem` / `from_problem` carry it over HTTP as `application/problem+json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_NOT_FOUND = 3
EXIT_NOT_ALLOWED = 4
EXIT_CONFLICT = 5
EXIT_UNREACHABLE = 6
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class FieldError:
    """One mistake in the input: where, what was found, what is allowed, the nearest name."""

    path: str
    found: Any = None
    allowed: Any = None
    nearest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The mistake as a JSON object."""
        return {
            "path": self.path,
            "found": self.found,
            "allowed": self.allowed,
            "nearest": self.nearest,
        }

    def __str__(self) -> str:
        """One line for people: `sampler.name: found 'gpp', allowed gp, grid; did you mean 'gp'?`."""
        text = f"{self.path}: found {self.found!r}" if self.found is not None else self.path
        if self.allowed:
            allowed = self.allowed
            if isinstance(allowed, list | tuple):
                allowed = ", ".join(str(item) for item in allowed)
            text += f"; allowed: {allowed}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return text


class TunerError(Exception):
    """Root of all errors.

    Args:
        message: What happened, with the name of the thing and the value.
        hint: What to do next; may be empty.
        errors: The single mistakes, for invalid input.
        request_id: The server's id of the failed request, if there was one.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_FAILED
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str = "",
        errors: tuple[FieldError, ...] | list[FieldError] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.errors = tuple(errors)
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from all fields, so that nothing is lost between processes."""
        return (_rebuild, (type(self), self.message, self.hint, self.errors, self.request_id))

    def __str__(self) -> str:
        """Message and hint in one line."""
        return f"{self.message} {self.hint}".strip()

    def to_problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem object (without `request_id`, the server adds it)."""
        problem: dict[str, Any] = {
            "type": f"urn:tuner:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
        }
        if self.hint:
            problem["hint"] = self.hint
        if self.errors:
            problem["errors"] = [error.to_json() for error in self.errors]
        return problem

    @classmethod
    def at(
        cls,
        path: str,
        message: str,
        *,
        found: Any = None,
        allowed: Any = None,
        nearest: str | None = None,
        hint: str = "",
    ) -> Self:
        """Build the error for one mistake at `path`; the message names the path."""
        field = FieldError(path, found, allowed, nearest)
        return cls(f"{path}: {message}" if path else message, hint=hint, errors=(field,))


def _rebuild(
    cls: type[TunerError],
    message: str,
    hint: str,
    errors: tuple[FieldError, ...],
    request_id: str | None,
) -> TunerError:
    return cls(message, hint=hint, errors=errors, request_id=request_id)


class Invalid(TunerError):
    """The input is wrong; the same call can never succeed."""

    code, status, exit_code, title = "invalid", 422, EXIT_INVALID, "Invalid input"


class InvalidSpace(Invalid):
    """The search space contradicts itself or the sampler."""

    code, title = "invalid-space", "Invalid search space"


class InvalidParameter(Invalid):
    """A trial's parameters do not fit the search space."""

    code, title = "invalid-parameter", "Invalid parameters"


class InvalidMetric(Invalid):
    """A metric's name or value cannot be taken, or the objective was never reported."""

    code, title = "invalid-metric", "Invalid metric"


class UnknownName(Invalid):
    """A name (optimizer, sampler, task, key) that does not exist."""

    code, title = "unknown-name", "Unknown name"


class NotAvailable(Invalid):
    """Something that has a name but is not available in this version or installation."""

    code, title = "not-available", "Not available"


class IdempotencyMismatch(Invalid):
    """An idempotency key was used again with another body."""

    code, title = "idempotency-mismatch", "Idempotency key used with another body"


class Unauthorized(TunerError):
    """No token, or a wrong one."""

    code, status, exit_code, title = "unauthorized", 401, EXIT_NOT_ALLOWED, "Unauthorized"


class Forbidden(TunerError):
    """The caller is known but may not do this."""

    code, status, exit_code, title = "forbidden", 403, EXIT_NOT_ALLOWED, "Forbidden"


class NotFound(TunerError):
    """Something named does not exist."""

    code, status, exit_code, title = "not-found", 404, EXIT_NOT_FOUND, "Not found"


class StudyNotFound(NotFound):
    """No study of that name."""

    code, title = "study-not-found", "Study not found"


class TrialNotFound(NotFound):
    """No trial of that number."""

    code, title = "trial-not-found", "Trial not found"


class WorkerNotFound(NotFound):
    """No worker of that id; register again, leases stay valid."""

    code, title = "worker-not-found", "Worker not found"


class NoResultYet(NotFound):
    """The study has no feasible, finite, complete trial yet."""

    code, title = "no-result-yet", "No result yet"


class Conflict(TunerError):
    """The call does not fit the present state."""

    code, status, exit_code, title = "conflict", 409, EXIT_CONFLICT, "Conflict"


class StudyExists(Conflict):
    """A study of that name exists (with another specification, or `exist_ok` was not given)."""

    code, title = "study-exists", "Study exists"


class TrialFinished(Conflict):
    """The trial has ended, and a finished trial never changes."""

    code, title = "trial-finished", "Trial is finished"


class LeaseLost(Conflict):
    """The lease is no longer the current one: stop the trial, send nothing more."""

    code, title = "lease-lost", "Lease lost"


class AlreadyReported(Conflict):
    """A measurement of that attempt, step and metric has another value."""

    code, title = "already-reported", "Already reported"


class AlreadyTold(Conflict):
    """This lease has told another outcome before."""

    code, title = "already-told", "Already told"


class BudgetSpent(Conflict):
    """All trial numbers of the budget are taken."""

    code, title = "budget-spent", "Budget spent"


class StoreOwned(Conflict):
    """Another process owns the database file."""

    code, title = "store-owned", "Store is owned by another process"


class Unavailable(TunerError):
    """Something needed is not there at the moment; try again."""

    code, status, exit_code, title = "unavailable", 503, EXIT_UNREACHABLE, "Unavailable"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, is locked, or is corrupt."""

    code, title = "database-unavailable", "Database unavailable"


class SchemaOutdated(Unavailable):
    """The database's schema is older or newer than this version expects."""

    code, title = "schema-outdated", "Schema does not match"


class ServerUnreachable(Unavailable):
    """No server answered (raised by the client, it has no status of its own)."""

    code, title = "server-unreachable", "Server unreachable"


class WorkerError(TunerError):
    """A trial could not be run."""

    code, title = "worker-error", "Worker error"


class ObjectiveNotFound(WorkerError):
    """The entrypoint does not import."""

    code, title = "objective-not-found", "Objective not found"


class ObjectiveFailed(WorkerError):
    """The objective raised an error."""

    code, title = "objective-failed", "Objective failed"


class BadData(WorkerError):
    """Data, a loss or a metric with which no trial of the task can run on this worker."""

    code, exit_code, title = "bad-data", EXIT_INVALID, "Data cannot be used"


class TrialStopped(BaseException):
    """A signal, not an error: leave the objective because the trial is to stop.

    It derives from BaseException so that `except Exception` in user code does not eat it.
    """

    def __init__(self, reason: str = "pruned") -> None:
        super().__init__(reason)
        self.reason = reason


def _tree(cls: type[TunerError]) -> list[type[TunerError]]:
    return [cls, *(sub for child in cls.__subclasses__() for sub in _tree(child))]


BY_CODE: dict[str, type[TunerError]] = {cls.code: cls for cls in _tree(TunerError)}
_BY_STATUS: dict[int, type[TunerError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    503: Unavailable,
    502: Unavailable,
    504: Unavailable,
}


def from_problem(problem: dict[str, Any], status: int) -> TunerError:
    """The typed error that a problem object describes.

    An unknown code (a newer server) falls back to the class of the status, so that callers can
    still tell a conflict from a missing thing.
    """
    cls = BY_CODE.get(str(problem.get("code", "")))
    if cls is None:
        fallback = Invalid if 400 <= status < 500 else TunerError
        cls = _BY_STATUS.get(status, fallback)
    errors = tuple(
        FieldError(
            str(item.get("path", "")), item.get("found"), item.get("allowed"), item.get("nearest")
        )
        for item in problem.get("errors", ())
        if isinstance(item, dict)
    )
    return cls(
        str(problem.get("detail") or problem.get("title") or f"HTTP {status}"),
        hint=str(problem.get("hint") or ""),
        errors=errors,
        request_id=problem.get("request_id"),
    )
