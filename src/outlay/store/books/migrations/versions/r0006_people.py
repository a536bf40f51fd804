"""Users, their sessions and sign-in links."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "users",
        _id("user_id", 64),
        _id("email", 256),
        _text("name", 256),
        _text("role", 16),
        _id("tenant_id", 128, nullable=True),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger),
        _text("way", 16),
        sa.Column("password_hash", sa.String(256)),
        sa.PrimaryKeyConstraint("user_id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_index("ix_users_created_at", "users", ["created_at"])
    _of_users(
        "sessions",
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        _text("way", 16),
    )
    _of_users("sign_in_links", sa.Column("ends_at", sa.BigInteger, nullable=False))


def _of_users(table: str, *columns: sa.Column[Any]) -> None:
    """Make a table of tokens that are a user's."""
    op.create_table(
        table,
        _id("token_hash", 64),
        _id("user_id", 64),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("token_hash", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=f"fk_{table}_user_id"),
    )
    for column in ("user_id", "ends_at"):
        op.create_index(f"ix_{table}_{column}", table, [column])


def _id(name: str, characters: int, *, nullable: bool = False) -> sa.Column[Any]:
    bytewise = sa.String(characters, collation="C")
    kind = sa.String(characters).with_variant(bytewise, "postgresql")
    return sa.Column(name, kind, nullable=nullable)


def _text(name: str, characters: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(characters), nullable=False)
