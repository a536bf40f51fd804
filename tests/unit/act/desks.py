"""Real books with limits in them, and an enforcer on them that tests step by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outlay.act.enforcer import Enforcer
from outlay.core.limits.holds import Outcome, Reserve
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.subject import Subject
from outlay.store.books.sql import SqlBooks
from outlay.store.limits import LimitChange

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
EACH_TENANT = (Match("tenant", each=True),)


def limit(limit_id: str = "budget", amount: int = 1_000, **values: Any) -> Limit:
    """Make a limit, by default on the cost of each tenant in a month."""
    values = {"metric": "cost", "window": "month", "scope": EACH_TENANT, **values}
    return Limit(limit_id, amount=amount, **values)


class Bench:
    """Books, and everything that enforces; only the authority runs by itself."""

    def __init__(self, root: Path, *limits: Limit, **values: Any) -> None:
        self.now = NOW
        self.books = SqlBooks(f"sqlite:///{root / 'books.db'}")
        settings = {"queue": 1_000, "keep_us": 24 * HOUR, **values}
        self.enforcer = Enforcer(self.books, clock=lambda: self.now, **settings)
        self.authority, self.policy = self.enforcer.authority, self.enforcer.policy
        self.notices, self.sweeper = self.enforcer.notices, self.enforcer.sweeper
        self.authority.start()
        self.put(*limits)

    def put(self, *limits: Limit) -> None:
        """Write limits, and let the policy see them."""
        if limits:
            self.books.change_limits(LimitChange(limits), reason="r", actor="test", at=self.now)
        self.policy.expire()

    def reserve(self, hold_id: str, cost: int, tenant: str = "acme", **subject: str) -> Outcome:
        """Hold a cost for a tenant and wait for the answer."""
        return self.ask(self.reservation(hold_id, cost, tenant, **subject))

    def reservation(self, hold_id: str, cost: int, tenant: str = "acme", **said: str) -> Reserve:
        """Make the operation that holds a cost for a tenant."""
        subject = Subject(tenant=tenant, request=hold_id, **said)
        needs = self.policy.current().needs(subject, {"cost": cost}, self.now)
        return Reserve(hold_id, "", tuple(needs), self.now, self.now + HOUR, cost, f"{cost}")

    def ask(self, op: Any) -> Outcome:
        """Let the authority write one operation."""
        return self.authority.submit([op]).result(10)[0]

    def close(self) -> None:
        """End everything."""
        self.enforcer.stop()
        self.authority.stop()
        self.notices.stop()
        self.books.close()
