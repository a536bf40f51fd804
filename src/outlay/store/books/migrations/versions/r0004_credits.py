"""Prepaid credits: accounts with a floor, grants, and a ledger that can only be added to."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BUSY: Final = {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02}
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TX_COLUMNS: Final = "tx_id, tenant, number, kind, key, at, actor, reason, details, drained"
_GUARDS: Final = (
    ("credit_entries_no_update", "credit_entries", "UPDATE"),
    ("credit_entries_no_delete", "credit_entries", "DELETE"),
    ("credit_tx_no_update", "credit_tx", f"UPDATE OF {_TX_COLUMNS}"),
    ("credit_tx_no_delete", "credit_tx", "DELETE"),
)
"""What the database refuses; of a transaction only how much of it was undone may change."""


def upgrade() -> None:
    """Make the tables and their guards."""
    _accounts()
    _grants()
    _ledger()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _id(name: str, characters: int) -> sa.Column[Any]:
    bytewise = sa.String(characters, collation="C")
    kind = sa.String(characters).with_variant(bytewise, "postgresql")
    return sa.Column(name, kind, nullable=False)


def _accounts() -> None:
    op.create_table(
        "credit_accounts",
        _id("tenant", 128),
        _id("counter_id", 128),
        sa.Column("posted", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("shortfall", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("txs", sa.BigInteger, nullable=False),
        sa.Column("grants", sa.BigInteger, nullable=False),
        sa.Column("enforce", sa.Boolean, nullable=False),
        sa.Column("top_up_below", sa.BigInteger),
        sa.Column("top_up_amount", sa.BigInteger),
        sa.Column("top_up_url", sa.Text, nullable=False),
        sa.Column("top_up_asked_at", sa.BigInteger),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("loose", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_credit_accounts"),
        sa.UniqueConstraint("counter_id", name="uq_credit_accounts_counter_id"),
        sa.CheckConstraint("posted - held >= floor", name="ck_credit_accounts_floor"),
        sa.CheckConstraint("held >= 0", name="ck_credit_accounts_held"),
        sa.CheckConstraint("floor <= 0", name="ck_credit_accounts_floor_sign"),
        postgresql_with=_BUSY,
    )
    op.create_table(
        "credit_keys",
        _id("tenant", 128),
        _id("key", 128),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_credit_keys"),
    )


def _grants() -> None:
    op.create_table(
        "credit_grants",
        _id("grant_id", 160),
        _id("tenant", 128),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("effective_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("rollover_ppm", sa.Integer, nullable=False),
        sa.Column("rollover_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        _id("source_grant_id", 160),
        _id("key", 128),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name="pk_credit_grants"),
        sa.CheckConstraint(
            "remaining >= 0 AND remaining <= amount", name="ck_credit_grants_remaining"
        ),
        postgresql_with=_BUSY,
    )
    for columns in (["tenant", "state"], ["state", "effective_at"], ["state", "expires_at"]):
        op.create_index(f"ix_credit_grants_{'_'.join(columns)}", "credit_grants", columns)


def _ledger() -> None:
    op.create_table(
        "credit_tx",
        _id("tx_id", 160),
        _id("tenant", 128),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        _id("key", 256),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("drained", sa.BigInteger, nullable=False),
        sa.Column("undone", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tx_id", name="pk_credit_tx"),
        sa.CheckConstraint("undone >= 0 AND undone <= drained", name="ck_credit_tx_undone"),
    )
    op.create_index("ix_credit_tx_tenant_key_number", "credit_tx", ["tenant", "key", "number"])
    op.create_table(
        "credit_entries",
        sa.Column("entry_id", _ROW_ID, nullable=False, autoincrement=True),
        _id("tx_id", 160),
        _id("account", 160),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("balance_before", sa.BigInteger),
        sa.Column("version", sa.BigInteger),
        sa.PrimaryKeyConstraint("entry_id", name="pk_credit_entries"),
    )
    numbered = sa.text("version IS NOT NULL")
    op.create_index(
        "ix_credit_entries_account_version",
        "credit_entries",
        ["account", "version"],
        unique=True,
        sqlite_where=numbered,
        postgresql_where=numbered,
    )


def _guard_sqlite() -> None:
    for name, table, what in _GUARDS:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} BEGIN "
            f"SELECT RAISE(ABORT, '{table} can only be added to'); END"
        )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION outlay_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% can only be added to', TG_TABLE_NAME "
        "USING ERRCODE = 'restrict_violation'; END $$"
    )
    guards = [
        *((name, table, what, "ROW") for name, table, what in _GUARDS),
        ("credit_entries_no_truncate", "credit_entries", "TRUNCATE", "STATEMENT"),
        ("credit_tx_no_truncate", "credit_tx", "TRUNCATE", "STATEMENT"),
    ]
    for name, table, what, each in guards:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION outlay_append_only()"
        )
