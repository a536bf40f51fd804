"""Short words for tests of prepaid credits: grants, holds and charges with what is usual filled in.

Amounts are micro-credits; time stands still at `NOW` unless a test says otherwise.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from outlay.core.limits.holds import Need, Op, Post, PostLine, Reserve, Settle, Void
from outlay.core.limits.period import credit_key
from outlay.store.base import Books
from outlay.store.credits import Balance, Grant

NOW: Final = 1_000_000
LATER: Final = 10**12


class Purse:
    """Books as a test of credits wants them."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._numbers = count(1)

    def key(self) -> str:
        """Return an idempotency key that was not used yet."""
        return f"key-{next(self._numbers)}"

    def said(self, at: int = NOW) -> dict[str, Any]:
        """Return what every mutation must say, with a new key."""
        return {"key": self.key(), "reason": "a reason", "actor": "me", "at": at}

    def give(self, amount: int, tenant: str = "acme", *, at: int = NOW, **terms: Any) -> Grant:
        """Grant credits."""
        return self.books.grant(tenant, amount, **self.said(at), **terms)[0]

    def hold(self, amount: int, hold_id: str, tenant: str = "acme", *, at: int = NOW) -> str:
        """Reserve an amount; return the verdict."""
        need = Need(credit_key(tenant), "credits", amount)
        return self.do(Reserve(hold_id, "owner", (need,), at, LATER))

    def settle(self, hold_id: str, amount: int, *, at: int = NOW) -> str:
        """Say what a hold used."""
        return self.do(Settle(hold_id, {"credits": amount}, at))

    def void(self, hold_id: str, *, at: int = NOW) -> str:
        """Give a hold back."""
        return self.do(Void(hold_id, at))

    def event(self, hold_id: str, amount: int, tenant: str = "acme", *, at: int = NOW) -> str:
        """Count what an event says, on the hold that it names."""
        key = credit_key(tenant)
        return self.do(Post(hold_id, (PostLine(key, "credits", amount, 1, at, create=False),)))

    def spend(self, amount: int, tenant: str = "acme", *, at: int = NOW) -> str:
        """Charge without a hold; below zero it is a correction."""
        return self.event("", amount, tenant, at=at)

    def do(self, op: Op) -> str:
        """Apply one operation; return its status."""
        return self.books.apply([op])[0].status

    def of(self, tenant: str = "acme") -> Balance:
        """Return a tenant's balance."""
        balance = self.books.balance(tenant)
        assert balance is not None
        return balance

    def left(self, tenant: str = "acme") -> dict[str, int]:
        """Return what each grant of a tenant has left, in the order they drain."""
        return {grant.grant_id: grant.remaining for grant in self.books.grants(tenant)}
