"""The contract of prepaid credits: a double-entry ledger per tenant; part of the books.

Amounts are micro-credits (millionths of a credit), integers. Every mutation has an idempotency key
and a reason: the same key with the same content answers as before, with other content it is a
conflict. Thread-safe; times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Category = Literal["paid", "promotional"]
CATEGORIES: Final[tuple[Category, ...]] = ("paid", "promotional")
MICROS: Final = 1_000_000
"""Micro-credits in a credit."""
MAX_MICROS: Final = 10**18
MAX_ENTRY_ID: Final = 2**63 - 1
"""Of one grant or adjustment: a trillion credits."""

TxKind = Literal[
    "grant", "usage", "expiry", "rollover", "adjustment", "refund", "transfer", "reversal"
]


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits given: what was given, what is left of it, until when, and in which order it drains.

    Drained by priority (lowest first), then what expires first (never is last), then promotional
    before paid, then the oldest. On expiry `rollover_ppm` of what is left becomes a new grant that
    lasts `rollover_us` (0: for ever), once.
    """

    grant_id: str
    tenant: str
    amount: int
    remaining: int
    category: Category
    priority: int
    effective_at: int
    expires_at: int | None
    rollover_ppm: int = 0
    rollover_us: int = 0
    reason: str = ""
    created_at: int = 0
    source_grant_id: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """What a tenant has: `posted` was granted and not used, `held` is reserved of it.

    `available` is what may still be reserved: posted, less held, down to `floor` (0, or less where
    an overdraft is allowed). `shortfall` is usage that the balance could not pay.
    """

    tenant: str
    posted: int
    held: int
    floor: int
    shortfall: int
    version: int
    top_up_below: int | None = None
    top_up_amount: int | None = None
    top_up_url: str = ""
    enforce: bool = True

    @property
    def available(self) -> int:
        """What may still be reserved."""
        return self.posted - self.held - self.floor


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a ledger transaction; the amounts of a transaction's entries sum to zero.

    `account` is `tenant:<id>` or `system:<what>`; `balance_before` and `version` chain a tenant's
    entries. `key` is the idempotency key, or names what was settled.
    """

    entry_id: int
    tx_id: str
    kind: TxKind
    account: str
    amount: int
    balance_before: int | None
    version: int | None
    at: int
    actor: str
    reason: str
    key: str
    details: Mapping[str, object]


class CreditBooks(Protocol):
    """Accounts, grants and entries. A tenant has an account from its first grant on."""

    def grant(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int,
        category: Category = "paid", priority: int = 100, effective_at: int | None = None,
        expires_at: int | None = None, rollover_ppm: int = 0, rollover_us: int = 0,
    ) -> tuple[Grant, Balance]:  # fmt: skip
        """Give credits; they count from `effective_at` (now if not said)."""

    def adjust(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int
    ) -> Balance:
        """Correct a balance up or down. Raises `ConflictError` below the floor or what is held."""

    def refund(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int,
        tx_id: str = "",
    ) -> Balance:  # fmt: skip
        """Give back what was charged, to the grants it was drained from if `tx_id` names it."""

    def transfer(
        self, source: str, target: str, amount: int, *, key: str, reason: str, actor: str, at: int
    ) -> tuple[Balance, Balance]:
        """Move credits between tenants. Raises `ConflictError` if the source has not enough."""

    def set_account(
        self, tenant: str, *, floor: int, reason: str, actor: str, at: int,
        top_up_below: int | None = None, top_up_amount: int | None = None, top_up_url: str = "",
        enforce: bool = True,
    ) -> Balance:  # fmt: skip
        """Open or change an account: its overdraft (`floor` below 0) and its automatic top-up."""

    def mature(self, *, at: int, limit: int) -> int:
        """Make grants effective whose time has come and expire those whose time is over.

        What is held stays held: an expiry takes at most what is available, and the rest once it is
        free. Returns how many grants changed.
        """

    def balance(self, tenant: str) -> Balance | None:
        """Return a tenant's balance by one row, `None` without an account."""

    def balances(self) -> list[Balance]:
        """Return every account, by tenant."""

    def grants(self, tenant: str, *, open_only: bool = False) -> list[Grant]:
        """Return a tenant's grants in the order they drain."""

    def credit_history(self, tenant: str, *, before: int = 0, limit: int = 100) -> list[Entry]:
        """Return a tenant's entries, the newest first; `before` is an entry id (0: the newest)."""

    def top_ups_due(self) -> list[Balance]:
        """Return accounts with less available than `top_up_below`, not asked for yet."""

    def top_up_asked(self, tenant: str, *, at: int) -> None:
        """Remember that a top-up was asked for, until the account rises above its bound."""

    def check_credits(self) -> list[str]:
        """Prove the ledger: a line of text per difference, empty when it balances.

        Entries of every transaction sum to zero, balances equal their entries, versions have no
        gap, what grants have left equals the balance (plus the overdraft in use), held equals the
        lines of open holds, no balance is below its floor.
        """
