"""Databases: how a transaction is run, on SQLite and on PostgreSQL.

A unit of work is a plain function of a `Tx`. The database runs it in one transaction, commits,
and only then answers; an exception rolls it back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, Row

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass
class Tx:
    """One transaction: its connection, dialect and time.

    Attributes:
        connection: The connection, in a transaction.
        dialect: For the few statements that differ.
        now: When the transaction began, seconds since 1970 by the database's clock.
        outbox: Events to be written as the transaction's last statement.
    """

    connection: Connection
    dialect: Dialect
    now: float
    outbox: list[dict[str, Any]] = field(default_factory=list)

    def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Run one statement."""
        return self.connection.execute(statement, parameters)

    def one(self, statement: Executable, parameters: Parameters | None = None) -> Row[Any] | None:
        """The only row, or None."""
        return self.connection.execute(statement, parameters).one_or_none()

    def all(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> Sequence[Row[Any]]:
        """All rows."""
        return self.connection.execute(statement, parameters).all()

    def scalar(self, statement: Executable, parameters: Parameters | None = None) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement, parameters).scalar()

    def changed(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a change and count the rows it met."""
        return self.execute(statement, parameters).rowcount


class Database(ABC):
    """Runs units of work. Thread-safe; close it when done."""

    dialect: Dialect
    url: str

    @abstractmethod
    def write(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` in a transaction of its own; the result is set after the durable commit.

        Raises:
            DatabaseUnavailable: (in the future) If the database cannot be reached or written.
        """

    @abstractmethod
    def read(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` on a consistent snapshot; it must not write."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was accepted and close all connections."""
