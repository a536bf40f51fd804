"""Rows of credit accounts and grants as values, and how they are read and locked.

Whoever changes an account locks it first, several of them in the order of their tenants, so that
no two transactions wait for each other; that lock is on the account's grants, too. Works inside the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from outlay.core.limits.drain import Pot, drain_order
from outlay.core.limits.period import credit_key
from outlay.errors import NotFoundError
from outlay.store.books.bulk import Bulk
from outlay.store.books.credit_tables import CREDIT_ACCOUNTS, CREDIT_GRANTS
from outlay.store.credits import Balance, Category, Grant

GrantState = Literal["waiting", "open", "spent"]

ACCOUNT_ROWS: Final = Bulk(CREDIT_ACCOUNTS)
GRANT_ROWS: Final = Bulk(CREDIT_GRANTS)
AVAILABLE: Final = CREDIT_ACCOUNTS.c.posted - CREDIT_ACCOUNTS.c.held - CREDIT_ACCOUNTS.c.floor
"""`Account.available`, as a column."""
MAX_LISTED: Final = 10_000
"""Most rows that a list gives."""


@dataclass(slots=True)
class Account:
    """A row of `credit_accounts`, its columns in the table's order."""

    tenant: str
    counter_id: str
    posted: int = 0
    held: int = 0
    floor: int = 0
    shortfall: int = 0
    version: int = 0
    txs: int = 0
    grants: int = 0
    enforce: bool = True
    top_up_below: int | None = None
    top_up_amount: int | None = None
    top_up_url: str = ""
    top_up_asked_at: int | None = None
    opened_at: int = 0
    loose: int = 0

    @property
    def available(self) -> int:
        """What may still be reserved, the overdraft included."""
        return self.posted - self.held - self.floor

    @property
    def low(self) -> bool:
        """Whether less is available than the bound of its automatic top-up."""
        return self.top_up_below is not None and self.available < self.top_up_below

    @property
    def owed(self) -> int:
        """How much of the overdraft is in use."""
        return max(0, -self.posted)

    @property
    def name(self) -> str:
        """Its name in the ledger's entries."""
        return f"tenant:{self.tenant}"

    def row(self) -> tuple[Any, ...]:
        """Return the values in the order of the table's columns."""
        return tuple(getattr(self, name) for name in ACCOUNT_ROWS.columns)

    def balance(self) -> Balance:
        """Return what the tenant has."""
        return Balance(
            self.tenant, self.posted, self.held, self.floor, self.shortfall, self.version,
            self.top_up_below, self.top_up_amount, self.top_up_url, self.enforce,
        )  # fmt: skip


@dataclass(slots=True)
class GrantRow(Pot):
    """A row of `credit_grants`."""

    tenant: str
    state: GrantState
    category: Category
    effective_at: int
    rollover_ppm: int = 0
    rollover_us: int = 0
    reason: str = ""
    source_grant_id: str = ""
    key: str = ""
    actor: str = ""

    def row(self) -> tuple[Any, ...]:
        """Return the values in the order of the table's columns."""
        return tuple(getattr(self, name) for name in GRANT_ROWS.columns)

    def grant(self) -> Grant:
        """Return the grant as others see it."""
        return Grant(
            self.grant_id, self.tenant, self.amount, self.remaining, self.category, self.priority,
            self.effective_at, self.expires_at, self.rollover_ppm, self.rollover_us, self.reason,
            self.created_at, self.source_grant_id,
        )  # fmt: skip


def grant_row(
    account: Account, *, amount: int, category: Category, at: int, key: str, actor: str,
    reason: str, state: GrantState = "open", priority: int = 100, effective_at: int | None = None,
    expires_at: int | None = None, rollover_ppm: int = 0, rollover_us: int = 0,
    source_grant_id: str = "",
) -> GrantRow:  # fmt: skip
    """Return a new grant of an account, with the next number; nothing is written."""
    account.grants += 1
    return GrantRow(
        grant_id=f"{account.tenant}/g{account.grants}", amount=amount, remaining=amount,
        promotional=category == "promotional", priority=priority, expires_at=expires_at,
        created_at=at, number=account.grants, tenant=account.tenant, state=state,
        category=category, effective_at=at if effective_at is None else effective_at,
        rollover_ppm=rollover_ppm, rollover_us=rollover_us, reason=reason,
        source_grant_id=source_grant_id, key=key, actor=actor,
    )  # fmt: skip


def lock(connection: sa.Connection, tenants: Collection[str]) -> dict[str, Account]:
    """Lock and return the accounts of tenants, those without one left out."""
    rows = ACCOUNT_ROWS.select(connection, lock=True, tenant=tenants)
    return {account.tenant: account for account in map(account_of, rows)}


def lock_one(connection: sa.Connection, tenant: str) -> Account:
    """Lock and return an account. Raises `NotFoundError`."""
    found = lock(connection, [tenant])
    if tenant not in found:
        raise no_account(tenant)
    return found[tenant]


def opened(connection: sa.Connection, tenant: str, *, at: int) -> tuple[Account, bool]:
    """Lock and return an account, and whether it was opened for this."""
    found = lock(connection, [tenant])
    if tenant in found:
        return found[tenant], False
    account = Account(tenant, credit_key(tenant).counter_id, opened_at=at)
    ACCOUNT_ROWS.insert(connection, [account.row()])
    return account, True


def no_account(tenant: str) -> NotFoundError:
    """Return the error for a tenant without an account."""
    return NotFoundError(
        f"{tenant} has no credits.",
        where="tenant",
        hint="Its first grant opens an account: `outlay credits grant`.",
    )


def accounts(connection: sa.Connection, *, top_ups: bool = False) -> list[Account]:
    """Return every account by tenant, or only those with an automatic top-up."""
    statement = sa.select(CREDIT_ACCOUNTS).order_by(CREDIT_ACCOUNTS.c.tenant)
    if top_ups:
        statement = statement.where(CREDIT_ACCOUNTS.c.top_up_below.is_not(None))
    return [account_of(row) for row in connection.execute(statement)]


def account_of(row: Iterable[Any]) -> Account:
    """Return the account that a row holds."""
    account = Account(*row)
    account.enforce = bool(account.enforce)
    return account


def grants_of(
    connection: sa.Connection, tenants: Collection[str], states: Collection[str]
) -> list[GrantRow]:
    """Return grants in some states in the order they drain."""
    rows = GRANT_ROWS.select(connection, tenant=tenants, state=states)
    return sorted(map(grant_of, rows), key=drain_order)


def grants_by_id(connection: sa.Connection, grant_ids: Collection[str]) -> list[GrantRow]:
    """Return grants by id."""
    return [grant_of(row) for row in GRANT_ROWS.select(connection, grant_id=grant_ids)]


def grants_where(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int
) -> list[GrantRow]:
    """Return the newest grants that fulfil some conditions."""
    table = CREDIT_GRANTS
    newest = (table.c.created_at.desc(), table.c.number.desc())
    statement = sa.select(table).where(*conditions).order_by(*newest).limit(limit)
    return [grant_of(row) for row in connection.execute(statement)]


def grant_of(row: Iterable[Any]) -> GrantRow:
    """Return the grant that a row holds."""
    values = dict(zip(GRANT_ROWS.columns, row, strict=True))
    return GrantRow(promotional=values["category"] == "promotional", **values)
