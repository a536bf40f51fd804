"""Shapes of prepaid credits: accounts, grants, entries, and what changes them."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from outlay.api.credit import AccountBody, AmountBody, GrantBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import MicroCredits, Micros, Ppm
from outlay.store.credits import Category, TxKind


class Balance(Struct):
    """What a tenant has; `available` may still be reserved. `top_up_url` is told to admins only."""

    tenant: str
    posted: MicroCredits
    held: MicroCredits
    floor: MicroCredits
    shortfall: MicroCredits
    version: int
    top_up_below: MicroCredits | None
    top_up_amount: MicroCredits | None
    enforce: bool
    available: MicroCredits
    top_up_url: str | UnsetType = UNSET


class Grant(Struct):
    """Credits given and what is left of them; `rollover_us` 0: what rolls over lasts for ever."""

    grant_id: str
    tenant: str
    amount: MicroCredits
    remaining: MicroCredits
    category: Category
    priority: int
    effective_at: Micros
    expires_at: Micros | None
    rollover_ppm: Ppm
    rollover_us: int
    reason: str
    created_at: Micros
    source_grant_id: str


class CreditEntry(Struct):
    """One side of a ledger transaction. `actor` is not told to a tenant's key."""

    entry_id: int
    tx_id: str
    kind: TxKind
    account: str
    amount: MicroCredits
    balance_before: MicroCredits | None
    version: int | None
    at: Micros
    reason: str
    key: str
    details: dict[str, Any]
    actor: str | UnsetType = UNSET


class Accounts(Struct):
    """Every account, by tenant."""

    accounts: list[Balance]


class BalanceAnswer(Struct):
    """One account."""

    balance: Balance


class GrantList(Struct):
    """Grants in the order they drain."""

    grants: list[Grant]


class CreditHistory(Struct):
    """Entries, the newest first; `next` is the `before` of the next page, null at the end."""

    entries: list[CreditEntry]
    next: int | None


class NewGrant(Struct):
    """What was given, and the balance after it."""

    grant: Grant
    balance: Balance


class Transferred(Struct):
    """The balances of both tenants afterwards."""

    balance: Balance
    to: Balance


class Verified(Struct):
    """A line of text for each difference."""

    ok: bool
    holds: list[str]
    credits: list[str]


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/credits": Shape(Accounts),
    "GET /v1/credits/{tenant}": Shape(BalanceAnswer),
    "PUT /v1/credits/{tenant}": Shape(BalanceAnswer, AccountBody),
    "GET /v1/credits/{tenant}/grants": Shape(GrantList),
    "POST /v1/credits/{tenant}/grants": Shape(NewGrant, GrantBody),
    "GET /v1/credits/{tenant}/history": Shape(CreditHistory),
    "POST /v1/credits/{tenant}/adjust": Shape(BalanceAnswer, AmountBody),
    "POST /v1/credits/{tenant}/refund": Shape(BalanceAnswer, AmountBody),
    "POST /v1/credits/{tenant}/transfer": Shape(Transferred, AmountBody),
    "GET /v1/verify": Shape(Verified),
}
