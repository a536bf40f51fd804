"""Saved views and exchange rates."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "saved_views",
        _id("view_id", 64),
        _id("name", 256),
        sa.Column("path", sa.String(256), nullable=False),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        _id("owner", 256),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("view_id", name="pk_saved_views"),
    )
    op.create_index("ix_saved_views_owner", "saved_views", ["owner"])
    op.create_table(
        "exchange_rates",
        _id("currency", 3),
        sa.Column("valid_from", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("per_usd_ppb", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("currency", "valid_from", name="pk_exchange_rates"),
    )


def _id(name: str, characters: int) -> sa.Column[Any]:
    bytewise = sa.String(characters, collation="C")
    kind = sa.String(characters).with_variant(bytewise, "postgresql")
    return sa.Column(name, kind, nullable=False)
