"""The tables of limits: definitions, counters, holds, lease lines and notices, in portable types.

Times are microseconds UTC, amounts are in the unit of the limit's metric, both BIGINT; documents
are JSON text. Ids are compared byte by byte on every database. What changes with each call is in no
index, and pages keep room, so that PostgreSQL can write a new version of a row beside the old one.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

from outlay.store.books.tables import METADATA

OPEN_HOLDS: Final = "state = 'open'"
BUSY_PAGES: Final[dict[str, Any]] = {
    "fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02,
}  # fmt: skip
"""Settings of tables that are updated all the time."""


def _id(characters: int) -> Any:
    bytewise = String(characters, collation="C")
    return String(characters).with_variant(bytewise, "postgresql")


LIMITS: Final = Table(
    "limits",
    METADATA,
    Column("limit_id", _id(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("removed", Boolean, nullable=False),
)

LIMIT_VERSIONS: Final = Table(
    "limit_versions",
    METADATA,
    Column("limit_id", _id(64), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("reason", String(256), nullable=False),
)
"""`body` is NULL for the version that removed the limit."""

LIMIT_OVERRIDES: Final = Table(
    "limit_overrides",
    METADATA,
    Column("override_id", _id(128), primary_key=True),
    Column("limit_id", _id(64), nullable=False),
    Column("scope_key", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("reason", String(256), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("revoked_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
)

ENTITLEMENTS: Final = Table(
    "entitlements",
    METADATA,
    Column("plan", String(256), primary_key=True),
    Column("body", Text, nullable=False),
)

COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("counter_id", _id(128), primary_key=True),
    Column("series", _id(128), nullable=False),
    Column("limit_id", _id(64), nullable=False),
    Column("scope_key", Text, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("span_us", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("folded", BigInteger, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("buckets", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index(None, "limit_id", "series"),
    postgresql_with=BUSY_PAGES,
)
"""`kind`, `span_us` and `amount` are the meter. Balances of credits are not here."""

HOLDS: Final = Table(
    "holds",
    METADATA,
    Column("hold_id", _id(256), primary_key=True),
    Column("owner", _id(256), nullable=False),
    Column("lease", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("estimate_nanos", BigInteger, nullable=False),
    Column("actual_nanos", BigInteger),
    Column("digest", String(128), nullable=False),
    Column("late", Boolean, nullable=False),
    Column("lines", Text, nullable=False),
    Column("touched_at", BigInteger, nullable=False),
    Index(None, "opened_at"),
    Index(
        "ix_holds_open_expires_at",
        "expires_at",
        sqlite_where=text(OPEN_HOLDS),
        postgresql_where=text(OPEN_HOLDS),
    ),
    postgresql_with=BUSY_PAGES,
)
"""`lines` of a call's hold; those of a lease are in `lease_lines`."""

LEASE_LINES: Final = Table(
    "lease_lines",
    METADATA,
    Column("owner", _id(256), primary_key=True),
    Column("counter_id", _id(128), primary_key=True),
    Column("series", _id(128), nullable=False),
    Column("metric", String(32), nullable=False),
    Column("gauge", Boolean, nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("reported", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("evented", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("booked", BigInteger, nullable=False),
    Column("short", BigInteger, nullable=False),
    postgresql_with=BUSY_PAGES,
)

LIMIT_NOTICES: Final = Table(
    "limit_notices",
    METADATA,
    Column("limit_id", _id(64), primary_key=True),
    Column("counter_id", _id(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("at_ppm", BigInteger, primary_key=True, autoincrement=False),
    Column("action", String(32), primary_key=True),
    Column("scope_key", Text, nullable=False),
    Column("tenant", String(256), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("details", Text, nullable=False),
    Index(None, "at"),
)

LIMIT_SEEDS: Final = Table(
    "limit_seeds",
    METADATA,
    Column("seed_key", _id(256), primary_key=True),
    Column("from_offset", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

SETTLE_OFFSET: Final = Table(
    "settle_offset",
    METADATA,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("posted", BigInteger, nullable=False),
)
"""One row: the offset of the enriched log up to which events were counted."""
