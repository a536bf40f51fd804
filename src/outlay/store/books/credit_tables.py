"""The tables of prepaid credits, in portable types; the same rules as in `tables`.

Amounts are micro-credits in BIGINT. `posted` of an account is the sum of its entries, and equals
what its grants have left, less the overdraft in use. The database itself refuses a balance below
its floor, and changing or deleting what was written to the ledger (migration 0004).

There are no foreign keys here: each charge would pay for looking them up, and `check_credits`
proves the same.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from outlay.store.books.limit_tables import BUSY_PAGES
from outlay.store.books.tables import METADATA, ROW_ID

FLOOR_CHECK: Final = "ck_credit_accounts_floor"


def _id(characters: int) -> Any:
    bytewise = String(characters, collation="C")
    return String(characters).with_variant(bytewise, "postgresql")


CREDIT_ACCOUNTS: Final = Table(
    "credit_accounts",
    METADATA,
    Column("tenant", _id(128), primary_key=True),
    Column("counter_id", _id(128), nullable=False, unique=True),
    Column("posted", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("shortfall", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("txs", BigInteger, nullable=False),
    Column("grants", BigInteger, nullable=False),
    Column("enforce", Boolean, nullable=False),
    Column("top_up_below", BigInteger),
    Column("top_up_amount", BigInteger),
    Column("top_up_url", Text, nullable=False),
    Column("top_up_asked_at", BigInteger),
    Column("opened_at", BigInteger, nullable=False),
    Column("loose", BigInteger, nullable=False),
    CheckConstraint("posted - held >= floor", name=FLOOR_CHECK),
    CheckConstraint("held >= 0", name="ck_credit_accounts_held"),
    CheckConstraint("floor <= 0", name="ck_credit_accounts_floor_sign"),
    # A charge rewrites the row in its page: there is room for it, and no index on what changes.
    postgresql_with=BUSY_PAGES,
)
"""`version` numbers a tenant's entries, `txs` its transactions, `grants` its grants. `loose` is the
part of `shortfall` that no line of a hold tells of."""

CREDIT_GRANTS: Final = Table(
    "credit_grants",
    METADATA,
    Column("grant_id", _id(160), primary_key=True),
    Column("tenant", _id(128), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("category", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("effective_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("rollover_ppm", Integer, nullable=False),
    Column("rollover_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("source_grant_id", _id(160), nullable=False),
    Column("key", _id(128), nullable=False),
    Column("actor", String(256), nullable=False),
    CheckConstraint("remaining >= 0 AND remaining <= amount", name="ck_credit_grants_remaining"),
    Index(None, "tenant", "state"),
    Index(None, "state", "effective_at"),
    Index(None, "state", "expires_at"),
    postgresql_with=BUSY_PAGES,
)
"""`state`: `waiting` (for `effective_at`; not in the balance yet), `open` or `spent`."""

CREDIT_TX: Final = Table(
    "credit_tx",
    METADATA,
    Column("tx_id", _id(160), primary_key=True),
    Column("tenant", _id(128), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", _id(256), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("drained", BigInteger, nullable=False),
    Column("undone", BigInteger, nullable=False),
    CheckConstraint("undone >= 0 AND undone <= drained", name="ck_credit_tx_undone"),
    Index(None, "tenant", "key", "number"),
)
"""One per transaction of the ledger, of one tenant. `drained` may be given back, `undone` was."""

CREDIT_ENTRIES: Final = Table(
    "credit_entries",
    METADATA,
    Column("entry_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("tx_id", _id(160), nullable=False),
    Column("account", _id(160), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance_before", BigInteger),
    Column("version", BigInteger),
    Index(
        "ix_credit_entries_account_version",
        "account",
        "version",
        unique=True,
        sqlite_where=text("version IS NOT NULL"),
        postgresql_where=text("version IS NOT NULL"),
    ),
)
"""Append-only. System accounts have no row and no version: their balance is their entries' sum."""

CREDIT_KEYS: Final = Table(
    "credit_keys",
    METADATA,
    Column("tenant", _id(128), primary_key=True),
    Column("key", _id(128), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""What was answered to a mutation, kept for ever: a key that is forgotten would grant twice."""
