"""The one schema, for SQLite and PostgreSQL.

Times are seconds since 1970 (UTC) as floats, so that lease arithmetic is the same on both
databases. JSON is kept as text: it must come back exactly as it went in. A metric that is NaN is
stored as NULL (SQLite has no NaN); infinities are stored as they are.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite gives out row ids for INTEGER keys only.
_Key = BigInteger().with_variant(Integer(), "sqlite")
_Double = Float(53)
_Name = String(128).with_variant(String(128, collation="C"), "postgresql")


def _id() -> Column[int]:
    return Column("id", _Key, primary_key=True, autoincrement=True)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _trial_id(**options: Any) -> Column[int]:
    return Column(
        "trial_id", _Key, ForeignKey("trials.id", ondelete="CASCADE"), nullable=False, **options
    )


studies = Table(
    "studies",
    metadata,
    _id(),
    # in the order of its characters on both databases
    Column("name", _Name, nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("expanded", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("state_reason", Text),
    _flag("paused"),
    _flag("stopped"),
    # numbers ever given out; the sampler's own sequence; numbers that count against the budget
    _count("next_number"),
    _count("next_index"),
    _count("numbers_made"),
    _count("n_waiting"),
    _count("n_running"),
    _count("n_complete"),
    _count("n_pruned"),
    _count("n_fail"),
    # grows with every trial that ends; what a sampler has seen is a value of it
    _count("results"),
    Column("size", BigInteger),
    Column("budget_trials", BigInteger),
    Column("budget_seconds", _Double),
    Column("target_loss", _Double),
    Column("busy_seconds", _Double, nullable=False, server_default="0"),
    Column("busy_since", _Double),
    Column("search_seconds", _Double, nullable=False, server_default="0"),
    Column("best_id", _Key),
    Column("best_loss", _Double),
    Column("leased_at", _Double),
    Column("created_at", _Double, nullable=False),
    Column("updated_at", _Double, nullable=False),
    sqlite_autoincrement=True,
)

trials = Table(
    "trials",
    metadata,
    _id(),
    Column("study_id", _Key, ForeignKey("studies.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    # NULL while the sampler still has to fill them in; `fixed` are the ones an enqueue gave
    Column("params", Text),
    Column("fixed", Text),
    Column("metrics", Text, nullable=False, server_default="{}"),
    # of a complete, feasible, finite trial of a single-objective study; ranks it
    Column("loss", _Double),
    _flag("diverged"),
    _flag("feasible"),
    Column("reason", String(32)),
    Column("message", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("sampler_index", BigInteger),
    Column("sampler_name", String(64)),
    Column("note", Text),
    Column("unseen", BigInteger),
    Column("lease", String(64)),
    Column("lease_seconds", _Double),
    Column("lease_expires_at", _Double),
    Column("worker_id", String(256)),
    Column("stop_reason", String(32)),
    # progress of the current attempt in the pruner's metric
    Column("last_step", BigInteger),
    Column("last_loss", _Double),
    Column("best_loss", _Double),
    Column("checkpoint", Text),
    Column("user_attrs", Text, nullable=False, server_default="{}"),
    # the number of the trial that this one repeats on a fresh seed; NULL: a trial of the search
    Column("confirms", BigInteger),
    Column("result_seq", BigInteger),
    Column("created_at", _Double, nullable=False),
    Column("started_at", _Double),
    Column("finished_at", _Double),
    Index("uq_trials_study_id_number", "study_id", "number", unique=True),
    Index("ix_trials_study_id_state_number", "study_id", "state", "number"),
    Index("ix_trials_study_id_result_seq", "study_id", "result_seq"),
    Index("ix_trials_study_id_loss", "study_id", "loss"),
    Index("ix_trials_lease", "lease"),
    Index("ix_trials_state_lease_expires_at", "state", "lease_expires_at"),
    Index(
        "ix_trials_study_id_confirms",
        "study_id",
        "confirms",
        sqlite_where=text("confirms IS NOT NULL"),
        postgresql_where=text("confirms IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# What the search of a comparison has come to, one row per optimizer (see `storage.comparison`).
branches = Table(
    "branches",
    metadata,
    Column("study_id", _Key, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    _count("made"),
    _count("ended"),
    _count("failed"),
    Column("seconds", _Double, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    _trial_id(primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("lease", String(64), nullable=False, index=True),
    Column("worker_id", String(256)),
    Column("started_at", _Double, nullable=False),
    Column("ended_at", _Double),
    Column("state", String(16)),
    Column("reason", String(32)),
    Column("message", Text),
    # the last tell or release of this attempt and the answer it got, for exact repeats
    Column("told", Text),
    Column("answer", Text),
)

measurements = Table(
    "measurements",
    metadata,
    _trial_id(primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("metric", String(128), primary_key=True),
    Column("value", _Double),
    sqlite_with_rowid=False,
)

rungs = Table(
    "rungs",
    metadata,
    Column("study_id", _Key, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
    Column("bracket", Integer, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    _trial_id(primary_key=True, index=True),
    # NULL: not finite, the worst
    Column("loss", _Double),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("study_id", _Key, nullable=False),
    Column("study", String(128), nullable=False),
    Column("event", String(64), nullable=False),
    Column("number", BigInteger),
    Column("data", Text, nullable=False),
    Column("at", _Double, nullable=False, index=True),
    Index("ix_events_study_id_id", "study_id", "id"),
    sqlite_autoincrement=True,
)

logs = Table(
    "logs",
    metadata,
    _id(),
    _trial_id(index=True),
    Column("attempt", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", _Double, nullable=False),
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("host", String(256), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("devices", Text, nullable=False),
    Column("runners", Text, nullable=False),
    Column("allow", Text, nullable=False),
    Column("labels", Text, nullable=False),
    _flag("draining"),
    Column("created_at", _Double, nullable=False),
    Column("heartbeat_at", _Double, nullable=False, index=True),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(256), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    # NULL while the first call is still under way; then `body` names what it has reserved
    Column("status", Integer),
    Column("body", Text, nullable=False),
    Column("created_at", _Double, nullable=False, index=True),
)
