"""Limits: definitions with their history, counters, holds, lease lines, notices and seeds."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BUSY = {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02}


def upgrade() -> None:
    """Make the tables, and the revisions of `limits` and `credits`."""
    _definitions()
    _overrides()
    _counters()
    _holds()
    _notices()
    _progress()
    revisions = sa.table(
        "revisions", sa.column("topic", sa.String), sa.column("number", sa.BigInteger)
    )
    op.bulk_insert(revisions, [{"topic": topic, "number": 0} for topic in ("limits", "credits")])


def _id(name: str, characters: int) -> sa.Column[Any]:
    bytewise = sa.String(characters, collation="C")
    kind = sa.String(characters).with_variant(bytewise, "postgresql")
    return sa.Column(name, kind, nullable=False)


def _text(name: str, characters: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(characters), nullable=False)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, autoincrement=False)


def _definitions() -> None:
    op.create_table(
        "limits",
        _id("limit_id", 64),
        _whole("version"),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("limit_id", name="pk_limits"),
    )
    op.create_table(
        "limit_versions",
        _id("limit_id", 64),
        _whole("version"),
        sa.Column("body", sa.Text),
        _whole("at"),
        _text("actor", 256),
        _text("reason", 256),
        sa.PrimaryKeyConstraint("limit_id", "version", name="pk_limit_versions"),
    )
    op.create_table(
        "entitlements",
        _text("plan", 256),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("plan", name="pk_entitlements"),
    )


def _overrides() -> None:
    op.create_table(
        "limit_overrides",
        _id("override_id", 128),
        _id("limit_id", 64),
        sa.Column("scope_key", sa.Text, nullable=False),
        _whole("amount"),
        _whole("starts_at"),
        _whole("ends_at"),
        _text("reason", 256),
        _text("actor", 256),
        sa.Column("revoked_at", sa.BigInteger),
        _whole("created_at"),
        sa.PrimaryKeyConstraint("override_id", name="pk_limit_overrides"),
    )


def _counters() -> None:
    op.create_table(
        "counters",
        _id("counter_id", 128),
        _id("series", 128),
        _id("limit_id", 64),
        sa.Column("scope_key", sa.Text, nullable=False),
        _whole("starts_at"),
        _whole("ends_at"),
        _text("kind", 16),
        *(_whole(name) for name in ("span_us", "amount", "used", "held", "folded", "as_of")),
        sa.Column("buckets", sa.Text, nullable=False),
        _whole("updated_at"),
        sa.PrimaryKeyConstraint("counter_id", name="pk_counters"),
        postgresql_with=_BUSY,
    )
    op.create_index("ix_counters_limit_id_series", "counters", ["limit_id", "series"])


def _holds() -> None:
    op.create_table(
        "holds",
        _id("hold_id", 256),
        _id("owner", 256),
        sa.Column("lease", sa.Boolean, nullable=False),
        _text("state", 16),
        _whole("opened_at"),
        _whole("expires_at"),
        _whole("estimate_nanos"),
        sa.Column("actual_nanos", sa.BigInteger),
        _text("digest", 128),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        _whole("touched_at"),
        sa.PrimaryKeyConstraint("hold_id", name="pk_holds"),
        postgresql_with=_BUSY,
    )
    op.create_index("ix_holds_opened_at", "holds", ["opened_at"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_holds_open_expires_at", "holds", ["expires_at"],
        sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
    amounts = ("granted", "reported", "calls", "evented", "events", "booked", "short")
    op.create_table(
        "lease_lines",
        _id("owner", 256),
        _id("counter_id", 128),
        _id("series", 128),
        _text("metric", 32),
        sa.Column("gauge", sa.Boolean, nullable=False),
        *(_whole(name) for name in amounts),
        sa.PrimaryKeyConstraint("owner", "counter_id", name="pk_lease_lines"),
        postgresql_with=_BUSY,
    )


def _notices() -> None:
    op.create_table(
        "limit_notices",
        _id("limit_id", 64),
        _id("counter_id", 128),
        _text("kind", 16),
        _whole("at_ppm"),
        _text("action", 32),
        sa.Column("scope_key", sa.Text, nullable=False),
        _text("tenant", 256),
        _text("mode", 16),
        *(_whole(name) for name in ("at", "used", "amount", "times")),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(
            "limit_id", "counter_id", "kind", "at_ppm", "action", name="pk_limit_notices"
        ),
    )
    op.create_index("ix_limit_notices_at", "limit_notices", ["at"])


def _progress() -> None:
    op.create_table(
        "limit_seeds",
        _id("seed_key", 256),
        _whole("from_offset"),
        _whole("at"),
        sa.PrimaryKeyConstraint("seed_key", name="pk_limit_seeds"),
    )
    settled = op.create_table(
        "settle_offset",
        sa.Column("only", sa.Integer, nullable=False, autoincrement=False),
        _whole("posted"),
        sa.PrimaryKeyConstraint("only", name="pk_settle_offset"),
    )
    op.bulk_insert(settled, [{"only": 1, "posted": 0}])
