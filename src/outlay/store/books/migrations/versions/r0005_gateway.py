"""Virtual keys of the gateway."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, and the revision of `virtual_keys`."""
    op.create_table(
        "virtual_keys",
        _id("key_id", 64),
        _text("name", 256),
        _text("prefix", 16),
        _id("secret_hash", 64),
        _id("tenant_id", 128, nullable=True),
        _text("feature", 256),
        _text("agent", 256),
        _text("workspace", 256),
        _text("initiator", 16),
        sa.Column("upstreams", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        _text("priority", 16),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        _id("replaces", 64, nullable=True),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_virtual_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_virtual_keys_secret_hash"),
    )
    for column in ("changed", "created_at"):
        op.create_index(f"ix_virtual_keys_{column}", "virtual_keys", [column])
    revisions = sa.table(
        "revisions", sa.column("topic", sa.String), sa.column("number", sa.BigInteger)
    )
    op.bulk_insert(revisions, [{"topic": "virtual_keys", "number": 0}])


def _id(name: str, characters: int, *, nullable: bool = False) -> sa.Column[Any]:
    bytewise = sa.String(characters, collation="C")
    kind = sa.String(characters).with_variant(bytewise, "postgresql")
    return sa.Column(name, kind, nullable=nullable)


def _text(name: str, characters: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(characters), nullable=False)
