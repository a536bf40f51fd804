"""Prices by hand: contracts by tenant, minimum charges, deployments, sell prices, findings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and tables; rows that are there keep their content and their ids."""
    _add("model_rows", "region_class", sa.String(128), "")
    _add("model_rows", "by_hand", sa.Boolean(), sa.false())
    _add("rate_rows", "tenant", sa.String(128), "")
    _add("rate_rows", "min_quantity", sa.BigInteger(), "0")
    _add("rate_rows", "by_hand", sa.Boolean(), sa.false())
    op.create_index("ix_rate_rows_provider_model", "rate_rows", ["provider", "model"])
    _sell_rows()
    _price_findings()


def _add(table: str, name: str, kind: sa.types.TypeEngine[Any], default: Any) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))


def _sell_rows() -> None:
    op.create_table(
        "sell_rows",
        sa.Column("row_id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("sell_id", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(128), nullable=False),
        sa.Column("out", sa.String(16), nullable=False),
        sa.Column("per_million", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("plan", sa.String(256), nullable=False),
        sa.Column("feature", sa.String(256), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("valid_from", sa.BigInteger),
        sa.Column("valid_to", sa.BigInteger),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("superseded_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("row_id", name="pk_sell_rows"),
    )
    op.create_index("ix_sell_rows_sell_id", "sell_rows", ["sell_id"])


def _price_findings() -> None:
    op.create_table(
        "price_findings",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_price_findings"),
    )
    op.create_index("ix_price_findings_last_at", "price_findings", ["last_at"])
